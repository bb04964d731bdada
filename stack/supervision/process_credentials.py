"""The credentials of the processes: a private key for each kind, and the key set that the services know them by."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.process_keys import PROCESS, PROCESS_PERMISSIONS, UNTIL, entry
from chassis.tokens import SigningKey
from stack.credentials import write_private

FOLDER = "credentials"
KEY_SET_FILE = "process-keys.json"
# A start of the stack replaces older keys: every process then reads its key again.
MOST_DAYS = 30
# A process takes up a rotated key with its next token; the old one is good for this long.
GRACE_SECONDS = 3600.0
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ProcessCredentials:
    """The files of one data folder."""

    data_folder: Path

    @property
    def key_set(self) -> Path:
        """The public keys of all processes."""
        return self.data_folder / KEY_SET_FILE

    def key(self, process: str) -> Path:
        """The private key of a process."""
        return self.data_folder / FOLDER / f"{process}.pem"

    def ensure(self) -> None:
        """Create what is missing, replace what is too old, and write the key set again, without the keys replaced."""
        self.key(next(iter(PROCESS_PERMISSIONS))).parent.mkdir(mode=0o700, exist_ok=True)
        now = time.time()
        for process in PROCESS_PERMISSIONS:
            file = self.key(process)
            if not file.exists() or now - file.stat().st_mtime > MOST_DAYS * DAY_SECONDS:
                _create(file)
        self._write({})

    def rotate(self, process: str, *, grace_seconds: float = GRACE_SECONDS) -> str:
        """Replace the key of a process while the stack runs; return the id of the old one, which ends after a while.

        The key set has the new key before the process does, and both until the old one has ended.
        """
        old, new = SigningKey.load(self.key(process)), SigningKey.generate()
        now = time.time()
        ending = {item["kid"]: item for item in self._entries() if item.get(UNTIL, 0) > now}
        ending[old.key_id] = {**entry(old.jwk, process), UNTIL: now + grace_seconds}
        self._write({**ending, new.key_id: entry(new.jwk, process)})
        write_private(self.key(process), new.pem().decode())
        self._write(ending)
        return old.key_id

    def _entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.key_set.read_text())["keys"]
        return [item for item in found if item.get(PROCESS) in PROCESS_PERMISSIONS]

    def _write(self, further: Mapping[str, dict[str, Any]]) -> None:
        current = [entry(SigningKey.load(self.key(process)).jwk, process) for process in PROCESS_PERMISSIONS]
        others = [item for key_id, item in further.items() if key_id not in {item["kid"] for item in current}]
        write_private(self.key_set, json.dumps({"keys": current + others}, indent=2) + "\n")


def _create(file: Path) -> None:
    write_private(file, SigningKey.generate().pem().decode())
