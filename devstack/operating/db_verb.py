"""``./partstream db dump`` and ``db restore``: a backup of one database, and bringing it back while all is running."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import stack_state
from devstack.errors import StackNotRunning
from devstack.servers.database_copies import dump, restore
from devstack.servers.databases import NAMES

if TYPE_CHECKING:
    from devstack.stack_state import StackState


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    parser = argparse.ArgumentParser(prog="partstream db", description=__doc__, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    dumping = actions.add_parser("dump", help="write a database to a file, as of one moment")
    restoring = actions.add_parser(
        "restore", help="put a backup in the place of a database; its log begins a new epoch"
    )
    for action, word in ((dumping, "write to"), (restoring, "read from")):
        action.add_argument("database", choices=NAMES, help="which database")
        action.add_argument("file", type=Path, help=f"the file to {word}")
        action.add_argument("--data-dir", help="data folder of the stack; default .partstream/ in the repository")
    given = parser.parse_args(arguments)
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    began = time.monotonic()
    if given.action == "dump":
        dump(state.databases[given.database], given.file)
        print(f"{given.database}: {given.file.stat().st_size:,} bytes in {time.monotonic() - began:.1f} s")
        return 0
    done = restore(_admin_dsn(state), state.databases[given.database], given.file)
    print(f"{given.database} is what {given.file} holds ({time.monotonic() - began:.1f} s)")
    if done.epoch:
        print(f"its log stands at revision {done.revision} in the new epoch {done.epoch}")
    print(f"what was in use is kept as the database {done.kept_as}; drop it when you do not need it any more")
    return 0


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
