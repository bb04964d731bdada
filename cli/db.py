"""``./partstream db dump`` and ``db restore``: a backup of one database, and bringing it back while all is running."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from typing import TYPE_CHECKING

from cli.restored_trail import RestoredTrail
from cli.tree import LOGS
from stack import stack_state
from stack.errors import StackNotRunning
from stack.servers.database_copies import dump, restore

if TYPE_CHECKING:
    from stack.stack_state import StackState


def dump_database(given: argparse.Namespace) -> int:
    """Write a database to a file."""
    state = _running(given)
    began = time.monotonic()
    dump(state.databases[given.database], given.file)
    print(f"{given.database}: {given.file.stat().st_size:,} bytes in {time.monotonic() - began:.1f} s")
    return 0


def restore_database(given: argparse.Namespace) -> int:
    """Put the database of a file in the place of the one in use, which is kept under another name."""
    state = _running(given)
    began = time.monotonic()
    trail = _trail(state, given)
    with trail or contextlib.nullcontext():
        done = restore(_admin_dsn(state), state.databases[given.database], given.file, trail)
    print(f"{given.database} restored from {given.file} ({time.monotonic() - began:.1f} s)")
    if done.epoch:
        print(f"its log continues after revision {done.revision} in the new epoch {done.epoch}")
    if trail is not None:
        print(trail.report)
        if trail.is_incomplete:
            print(f"entries that wait in the queue are still stored; all are in the log of {done.kept_as}")
    print(f"the database that was in use is kept as {done.kept_as}; drop it when it is no longer needed")
    return 0


def _trail(state: StackState, given: argparse.Namespace) -> RestoredTrail | None:
    if given.database not in LOGS:
        return None
    return RestoredTrail(state.databases["audit"], given.database, given.audit_wait)


def _running(given: argparse.Namespace) -> StackState:
    return stack_state.read_running(stack_state.data_folder(given.data_dir))


def _admin_dsn(state: StackState) -> str:
    """The connection string of an administrator of the server: the embedded one's, or PARTSTREAM_DATABASE_URL."""
    for process in state.processes:
        if process.name == "postgres":
            return process.target
    given = os.environ.get("PARTSTREAM_DATABASE_URL")
    if given:
        return given
    message = "The databases are on a server of your own: name its administrator by PARTSTREAM_DATABASE_URL."
    raise StackNotRunning(message)
