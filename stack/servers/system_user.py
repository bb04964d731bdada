"""The unprivileged user that PostgreSQL runs as when we are root: PostgreSQL refuses to run as root.

Nobody's folder permissions are loosened. When the data folder or the binaries lie below a folder that the user may not
enter (``/root``, a ``mktemp -d`` folder), the server keeps one capability that lets it pass: reading everything if we
have it to give, else overriding permissions, which is what containers usually leave to root.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from stack.errors import ServerUnavailable

PREFERRED_NAME = "partstream"
# Made for PostgreSQL by its packages; `nobody` only where no user can be created.
FALLBACK_NAMES = ("postgres", "nobody")
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Ids to run as, and the one capability kept, if any."""

    name: str
    uid: int
    gid: int
    capability: int | None = None

    def able_to_reach(self, paths: Iterable[Path]) -> "SystemUser":
        """Return this user, with a capability when some folder above ``paths`` is closed to it."""
        closed = [path for path in paths if not _reachable(path, self.uid, self.gid)]
        if not closed:
            return self
        held = _effective_capabilities()
        for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
            if held & (1 << capability):
                return replace(self, capability=capability)
        message = (
            f"PostgreSQL runs as the user {self.name!r}, which may not enter {closed[0]}. "
            "Choose a --data-dir below folders that everyone may enter, or run as a user other than root."
        )
        raise ServerUnavailable(message)


def unprivileged_user() -> SystemUser | None:
    """Return whom PostgreSQL is to run as: None = whoever we are, because we are not root."""
    if os.geteuid() != 0:
        return None
    if (user := _find(PREFERRED_NAME)) is None:
        _create(PREFERRED_NAME)
    for name in (PREFERRED_NAME, *FALLBACK_NAMES):
        if (user := _find(name)) is not None and user.uid != 0:
            return user
    message = "PostgreSQL does not run as root, and no other user exists or could be created. Run as another user."
    raise ServerUnavailable(message)


def _find(name: str) -> SystemUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return SystemUser(name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> None:
    commands = (
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", name],
        ["adduser", "-S", "-D", "-H", "-s", "/bin/false", name],  # BusyBox
    )
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            return


def _reachable(path: Path, uid: int, gid: int) -> bool:
    for folder in path.resolve().parents:
        details = folder.stat()
        if details.st_uid == uid:
            needed = stat.S_IXUSR
        elif details.st_gid == gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not details.st_mode & needed:
            return False
    return True


def _effective_capabilities() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
