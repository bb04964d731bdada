"""Passwords generated for one data folder, in a file that only its owner may read."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

FILE_NAME = "credentials.json"


def load_or_create(data_folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return a password for every name; those not yet in the file are generated and stored."""
    path = data_folder / FILE_NAME
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in known]
    if missing:
        known |= {name: secrets.token_urlsafe(24) for name in missing}
        write_private(path, json.dumps(known, indent=2) + "\n")
    return known


def write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, readable by its owner only from its first byte on."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
