"""The permission tables of ``docs/security.md``."""

from __future__ import annotations

import re
from typing import Final

from stack.checkout import ROOT

DOCUMENT: Final = ROOT / "docs" / "security.md"
ANYONE, SIGNED_IN, OWNER = "anyone", "signed in", "owner key or signed in"
_ROW: Final = re.compile(r"^\| (?P<call>[^|]+?) \| (?P<needs>[^|]+?) \|$", re.MULTILINE)


def role_permissions() -> dict[str, frozenset[str]]:
    """Return the permissions by role; an administrator has those of every role and of its own row."""
    rows = {call.strip("`"): frozenset(re.findall(r"`([a-z]+:[a-z]+)`", needs)) for call, needs in _table("role")}
    return {**rows, "admin": frozenset().union(*rows.values())}


def needs_of_routes() -> dict[str, str]:
    """Return what each REST route requires, by method and path."""
    return {call.strip("`"): needs.strip("`") for call, needs in _table("route")}


def needs_of_rpcs() -> dict[str, str]:
    """Return what each RPC requires, by ``package.Service/Method``."""
    return {call.strip("`"): needs.strip("`") for call, needs in _table("RPC")}


def _table(first_column: str) -> list[tuple[str, str]]:
    text = DOCUMENT.read_text()
    start = re.search(rf"^\| {first_column} \| [^|\n]+ \|\n\|---\|---\|\n", text, re.MULTILINE)
    assert start is not None, first_column
    body = text[start.end() :].partition("\n\n")[0]
    return [(row["call"], row["needs"]) for row in _ROW.finditer(body)]
