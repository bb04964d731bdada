"""The rules for parts and categories. Standard library and ``chassis.errors`` only."""
