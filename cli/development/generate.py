"""``partstream gen``: generate gen/ from protos/, the map and the settings table from the code, and the lock files."""

import argparse
import sys

from cli.development import documents, generated_code, locks


def run(given: argparse.Namespace) -> int:
    """Return the exit code of the first generator that fails."""
    if given.upgrade and not given.locks:
        print("partstream gen: --upgrade goes with --locks", file=sys.stderr)
        return 2
    if given.locks and (code := locks.write(upgrade=given.upgrade)):
        return code
    documents.write()
    return generated_code.generate()
