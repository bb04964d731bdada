"""Loads named SQL statements from `.sql` files."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME: Final = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\n", re.MULTILINE)
_DESCRIPTION: Final = re.compile(r"(?:-- \S.*\n)+")


class StatementsMalformed(Exception):
    """A file of statements lacks a name or a description, or uses a name twice."""


def load_statements(folder: Path) -> Mapping[str, str]:
    """Return the statements of all `.sql` files in a folder, by name.

    Each begins with ``-- name: read_levels`` and one or more comment lines that describe it; it ends where the next
    one begins. Parameters are PostgreSQL's ``$1``, ``$2``. Raises ``StatementsMalformed``.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        head, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        if head.strip():
            message = f"{path.name}: the first statement has no name."
            raise StatementsMalformed(message)
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            description = _DESCRIPTION.match(text)
            if description is None or name in found:
                fault = "has no description" if description is None else "is there twice"
                message = f"{path.name}: the statement {name} {fault}."
                raise StatementsMalformed(message)
            found[name] = text[description.end() :].strip().removesuffix(";")
    return MappingProxyType(found)
