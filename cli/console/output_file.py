"""Check at the start of a command that the files it writes at its end can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stack.errors import OutputRefused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def check_outputs(option_paths: Iterable[tuple[str, Path | None]], *, input_path: Path) -> None:
    """Make the folders of the files that will be written, and leave the files as they are.

    Raises OutputRefused for a file that cannot be written, that is the input itself, or that two options name.
    """
    taken = {input_path.resolve(): "the file that is read"}
    for option, path in option_paths:
        if path is None:
            continue
        if (same := taken.get(path.resolve())) is not None:
            message = f"{option} {path}: that is {same}"
            raise OutputRefused(message)
        taken[path.resolve()] = f"the file of {option}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        except OSError as fault:
            message = f"{option} {path}: {fault.strerror or fault}"
            raise OutputRefused(message) from fault
