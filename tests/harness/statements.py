"""Checks of `.sql` files of named statements: their form, and that a real server prepares each one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_COLUMNS = 120


async def unpreparable(connection: asyncpg.Connection, statements: Mapping[str, str]) -> dict[str, str]:
    """Return the error of each statement that the server does not prepare, by name."""
    errors = {}
    for name, statement in statements.items():
        try:
            await connection.prepare(statement)
        except asyncpg.PostgresError as error:
            errors[name] = str(error)
    return errors


def malformed_lines(folder: Path) -> list[str]:
    """Return the lines of `.sql` files that the common form excludes, as ``file:line``.

    At most 120 columns, no tabs, no trailing blanks; each statement ends with ``;``, and one blank line follows it.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for number, line in enumerate(lines, 1):
            starts = line.startswith("-- name: ")
            follows_statement = number < 3 or (lines[number - 2] == "" and lines[number - 3].endswith(";"))
            if len(line) > _MAX_COLUMNS or "\t" in line or line != line.rstrip() or (starts and not follows_statement):
                found.append(f"{path.name}:{number}")
        if not lines[-1].endswith(";"):
            found.append(f"{path.name}:{len(lines)}")
    return found
