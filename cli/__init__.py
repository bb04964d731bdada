"""The command line: one argument tree, the environment it prepares, and the operators' commands."""
