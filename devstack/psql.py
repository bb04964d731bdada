"""``./partstream psql DATABASE [psql arguments]``: a SQL shell on a database of the running stack."""

import argparse
import os
import shutil

from devstack import stack_state
from devstack.databases import NAMES
from devstack.errors import ServerUnavailable
from devstack.postgres import binaries


def main(arguments: list[str]) -> int:
    """Become psql."""
    parser = argparse.ArgumentParser(prog="partstream psql", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", help="data folder of the stack; default .partstream/ in the repository")
    parser.add_argument("database", choices=NAMES)
    given, rest = parser.parse_known_args(arguments)
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    program = _psql()
    os.execv(program, [program, state.databases[given.database], *rest])  # noqa: S606 - no shell is wanted


def _psql() -> str:
    try:
        return str(binaries() / "psql")
    except ServerUnavailable:
        found = shutil.which("psql")
        if found is None:
            raise
        return found
