"""``partstream completion SHELL``: a completion script, generated from the argument tree."""

import argparse

import shtab

from cli import tree


def run(given: argparse.Namespace) -> int:
    """Print the script."""
    print(shtab.complete(tree.build(), given.shell))
    return 0
