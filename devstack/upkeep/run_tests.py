"""``./partstream test [pytest arguments]``: the tests on two workers; those of the whole stack share one of them."""

import os
import sys

from devstack.checkout import ROOT

WORKERS = "2"


def main(arguments: list[str]) -> int:
    """Become pytest."""
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments)
    workers = [] if chosen else ["-n", WORKERS]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "--dist", "loadgroup", *workers, *arguments])  # noqa: S606 - no shell is wanted
