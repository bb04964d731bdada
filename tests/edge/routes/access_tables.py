"""The tables of ``docs/security.md``: who may call what."""

from __future__ import annotations

import re
from typing import Final

from stack.checkout import ROOT

DOCUMENT: Final = ROOT / "docs" / "security.md"
ANYONE, SIGNED_IN, OWNER = "anyone", "signed in", "owner key or signed in"
_ROW: Final = re.compile(r"^\| (?P<call>[^|]+?) \| (?P<needs>[^|]+?) \|$", re.MULTILINE)


def role_permissions() -> dict[str, frozenset[str]]:
    """Each role with its permissions; an administrator has all that some role has, and those of its own row."""
    rows = {call.strip("`"): frozenset(re.findall(r"`([a-z]+:[a-z]+)`", needs)) for call, needs in _table("role")}
    return {**rows, "admin": frozenset().union(*rows.values())}


def needs_of_routes() -> dict[str, str]:
    """What each REST route needs, by method and path."""
    return {call.strip("`"): needs.strip("`") for call, needs in _table("route")}


def needs_of_rpcs() -> dict[str, str]:
    """What each RPC needs, by ``package.Service/Method``."""
    return {call.strip("`"): needs.strip("`") for call, needs in _table("RPC")}


def _table(first_column: str) -> list[tuple[str, str]]:
    text = DOCUMENT.read_text()
    start = re.search(rf"^\| {first_column} \| [^|\n]+ \|\n\|---\|---\|\n", text, re.MULTILINE)
    assert start is not None, first_column
    body = text[start.end() :].partition("\n\n")[0]
    return [(row["call"], row["needs"]) for row in _ROW.finditer(body)]
