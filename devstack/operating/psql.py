"""``./partstream psql DATABASE [psql arguments]``: a SQL shell on a database of the running stack."""

import argparse
import os

from devstack import stack_state
from devstack.servers.databases import NAMES
from devstack.servers.programs import connection_environment, postgres_program


def main(arguments: list[str]) -> int:
    """Become psql."""
    parser = argparse.ArgumentParser(prog="partstream psql", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", help="data folder of the stack; default .partstream/ in the repository")
    parser.add_argument("database", choices=NAMES)
    given, rest = parser.parse_known_args(arguments)
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    program = postgres_program("psql")
    # By the environment, so that the list of processes does not show the password.
    own = connection_environment(state.databases[given.database])
    os.execve(program, [program, *rest], os.environ | own)  # noqa: S606 - no shell is wanted
