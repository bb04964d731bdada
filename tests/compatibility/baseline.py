"""Recorded interfaces: what clients may rely on, compared with what the code declares now."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def recorded(name: str) -> dict[str, Any]:
    """Return the entries of ``<name>.json``."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def changes(name: str, current: Mapping[str, Any], *, renew: bool) -> list[str]:
    """Return a line per entry of ``<name>.json`` that ``current`` lacks or changes.

    Additions are compatible: they are not reported, and ``renew`` records them. ``renew`` never removes or changes an
    entry; an incompatible change requires that its line is deleted from the file by hand.
    """
    known = recorded(name)
    if renew:
        lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted({**current, **known}.items()))
        (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return [
        f"{key}: was {value!r}, " + (f"is {current[key]!r}" if key in current else "is missing")
        for key, value in known.items()
        if current.get(key) != value
    ]
