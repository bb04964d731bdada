"""Record of an unfinished run of a command, so that the same command resumes it after a kill.

Request ids are made from the id of the run: a resumed run repeats them, and the services apply each request once.
A finished run is deleted; the next run has ids of its own.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stack.credentials import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

FOLDER = "runs"
INTERRUPTED = "Interrupted. The same command goes on where this one stopped."
RESUMED = "An earlier run of this file was interrupted and is resumed. --restart starts over."


@dataclass(slots=True)
class RunJournal:
    """The run of one command on one file. `progress` belongs to the command; `resumed` is set for an earlier run."""

    path: Path
    run_id: uuid.UUID
    progress: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False

    @classmethod
    def open(cls, data_folder: Path, verb: str, file_digest: str, *, restart: bool = False) -> RunJournal:
        """Resume the unfinished run of `verb` on the file with this SHA-256, or create one."""
        path = data_folder / FOLDER / f"{verb}-{file_digest[:16]}.json"
        if not restart and (known := _read(path)) is not None:
            return cls(path, uuid.UUID(known["run"]), known["progress"], resumed=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = cls(path, uuid.uuid4())
        journal.save()
        return journal

    def request_id(self, *what: str) -> str:
        """Return the id of one request of this run: the same words, the same id."""
        return str(uuid.uuid5(self.run_id, "/".join(what)))

    def request_id_of(self, kind: str, request: Message) -> str:
        """Return an id that follows from the content of `request`: a batch cut otherwise is another request."""
        return self.request_id(kind, hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest())

    def save(self) -> None:
        """Store the progress atomically."""
        write_private(self.path, json.dumps({"run": str(self.run_id), "progress": self.progress}) + "\n")

    def finish(self) -> None:
        """Delete the record of a complete run."""
        self.path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text())
        uuid.UUID(known["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if isinstance(known.get("progress"), dict) else None
