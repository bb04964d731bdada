"""``partstream psql DATABASE [psql arguments]``: a SQL shell on a database of the running stack."""

import argparse
import os

from stack import stack_state
from stack.servers.programs import connection_environment, postgres_program


def run(given: argparse.Namespace) -> int:
    """Become psql."""
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    program = postgres_program("psql")
    # By the environment, so that the list of processes does not show the password.
    own = connection_environment(state.databases[given.database])
    os.execve(program, [program, *given.extra], os.environ | own)  # noqa: S606 - no shell is wanted
