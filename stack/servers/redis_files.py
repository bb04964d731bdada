"""The folder of a Redis server that cannot start with its files: moved aside as a whole, and a few of them kept.

Nothing in Redis is the only copy of a fact, so that a server without its files is worth more than none.
"""

import re
import shutil
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

MOST_QUARANTINED = 3  # the newest; a disk that was full once must not be filled by what was left of that
_MARK = ".quarantine-"
# The server was killed, perhaps by the kernel for lack of memory: its files are not the cause.
_ENDED_BY_OTHERS = {signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT}
_OUT_OF_MEMORY = re.compile(r"Out Of Memory allocating (\d+) bytes")
CONFIGURATION_NAME = "redis.conf"


def quarantine(folder: Path) -> Path:
    """Rename the folder and return its new path; the oldest ones beyond a few are deleted.

    The parent stays the same: a folder that we may not write to can be renamed, but not moved.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = folder.with_name(f"{folder.name}{_MARK}{now}")
    folder.rename(target)
    for old in quarantined(folder)[:-MOST_QUARANTINED]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def quarantined(folder: Path) -> list[Path]:
    """Return the folders that were moved aside, oldest first."""
    return sorted(folder.parent.glob(f"{folder.name}{_MARK}*"))


def has_files(folder: Path) -> bool:
    """Return whether the server kept anything there."""
    return any(path.name != CONFIGURATION_NAME for path in folder.iterdir())


def may_be_damaged(folder: Path, code: int | None, lines: Sequence[str]) -> bool:
    """Return whether a server that ended with this code and these last lines may have ended because of its files.

    Not when it was killed, and not when memory was short. An allocation larger than all files together is asked for
    by a damaged length, not by data.
    """
    if code is None or -code in _ENDED_BY_OTHERS:
        return False
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    asked = [int(found[1]) for line in lines if (found := _OUT_OF_MEMORY.search(line))]
    if asked:
        return max(asked) > size
    return size < psutil.virtual_memory().available
