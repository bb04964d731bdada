"""Open an input file so that it can be read twice: the content of a pipe is stored on disk first."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

STDIN = Path("/dev/stdin")  # what the command line makes of `-`


def opened(path: Path) -> io.FileIO:
    """Open a file without a buffer, so that its place tells how far the reading is. Raises OSError."""
    if path == STDIN:
        return _kept(sys.stdin.buffer)
    file = io.FileIO(path)  # a folder is refused here
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    with file:
        return _kept(file)


def _kept(pipe: BinaryIO | io.FileIO) -> io.FileIO:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(pipe, copy, 1 << 20)
        copy.flush()
        copy.seek(0)
        return io.FileIO(os.dup(copy.fileno()))
