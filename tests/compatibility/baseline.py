"""Recorded interfaces: what clients may rely on, compared with what the code declares now."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def changes(name: str, current: Mapping[str, Any], *, renew: bool) -> list[str]:
    """Return a line per entry of ``<name>.json`` that ``current`` lacks or changes.

    Additions are compatible: they are not reported, and ``renew`` records them. ``renew`` never removes or changes an
    entry; an incompatible change requires that its line is deleted from the file by hand.
    """
    path = FOLDER / f"{name}.json"
    recorded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if renew:
        path.write_text(json.dumps({**current, **recorded}, indent=1, sort_keys=True) + "\n")
    return [
        f"{key}: was {value!r}, " + (f"is {current[key]!r}" if key in current else "is missing")
        for key, value in recorded.items()
        if current.get(key) != value
    ]
