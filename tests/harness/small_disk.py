"""A tablespace on a file system of a few megabytes, so that a real server runs out of space."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

BALLAST = "ballast"
_numbers = itertools.count(1)


class NoSmallDiskError(Exception):
    """A small file system cannot be mounted."""


class SmallDisk:
    """The tablespace, and what else lies on its disk."""

    def __init__(self, tablespace: str, folder: Path) -> None:
        self.tablespace = tablespace
        self._folder = folder

    def fill(self, *, leave: int = 0) -> None:
        """Leave so many bytes."""
        ballast = self._folder / BALLAST
        with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 65_536)
        os.truncate(ballast, max(0, ballast.stat().st_size - leave))

    def clear(self) -> None:
        """Give the space back."""
        (self._folder / BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(admin_dsn: str, megabytes: int) -> Iterator[SmallDisk]:
    """A tablespace of so many megabytes; drop what is in it before the block ends.

    ``NoSmallDiskError`` where this user may mount nothing.
    """
    folder = Path(tempfile.mkdtemp(prefix="partstream-small-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        folder.rmdir()
        raise NoSmallDiskError
    name = f"small_{os.getpid()}_{next(_numbers)}"
    try:
        with psycopg.connect(admin_dsn, autocommit=True) as admin:
            row = admin.execute("SHOW data_directory").fetchone()
            assert row is not None
            owner = Path(row[0]).stat()
            place = folder / "tablespace"
            for path in (folder, place):
                path.mkdir(exist_ok=True)
                os.chown(path, owner.st_uid, owner.st_gid)
            folder.chmod(0o755)
            admin.execute(
                sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(name), sql.Literal(str(place)))
            )
        yield SmallDisk(name, folder)
    finally:
        with contextlib.suppress(psycopg.Error), psycopg.connect(admin_dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP TABLESPACE IF EXISTS {}").format(sql.Identifier(name)))
        subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
