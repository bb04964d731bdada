"""What a full disk, a power cut or a careless hand does to the files of a Redis server that does not run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def newest(folder: Path, pattern: str) -> Path:
    """The newest of the files whose names match."""
    return max(folder.rglob(pattern), key=lambda path: path.stat().st_mtime)


def damage_middle(folder: Path) -> None:
    """Overwrite the middle of the append-only file."""
    path = newest(folder, "*.incr.aof")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff\x00garbage\r\n" * 20)


def damage_length(folder: Path) -> None:
    """Append a length of terabytes: the server asks for so much memory, gets none, and crashes."""
    path = newest(folder, "*.incr.aof")
    path.write_bytes(path.read_bytes() + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$444444444444\r\n")


def damage_base(folder: Path) -> None:
    """Overwrite the snapshot."""
    path = newest(folder, "*.base.rdb")
    path.write_bytes(b"\xff" * path.stat().st_size)


def cut_base(folder: Path) -> None:
    """Cut the snapshot in half."""
    path = newest(folder, "*.base.rdb")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_manifest(folder: Path) -> None:
    """Overwrite the list of files."""
    newest(folder, "*.manifest").write_text("file\0of no known form\n")


def lose_a_file(folder: Path) -> None:
    """Delete the snapshot that the list names."""
    newest(folder, "*.base.rdb").unlink()


def unreadable(folder: Path) -> None:
    """Put a folder where a file should be: no user can read it, root included."""
    path = newest(folder, "*.incr.aof")
    path.unlink()
    path.mkdir()


def unreadable_folder(folder: Path) -> None:
    """Put a file where the folder should be."""
    shutil.rmtree(folder)
    folder.write_text("not a folder")


DAMAGES = [
    damage_middle,
    damage_length,
    damage_base,
    cut_base,
    damage_manifest,
    lose_a_file,
    unreadable,
    unreadable_folder,
]
