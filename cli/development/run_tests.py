"""``partstream test``: the tests on parallel workers; those of the whole stack share one of them."""

import argparse
import os
import sys

from cli.tree import ROOT


def run(given: argparse.Namespace) -> int:
    """Become pytest."""
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in given.extra)
    workers = [] if chosen else ["-n", str(given.workers)]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "--dist", "loadgroup", *workers, *given.extra])  # noqa: S606 - no shell is wanted
