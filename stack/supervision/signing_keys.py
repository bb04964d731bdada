"""The key that access tokens are signed with, which only edges have, and the key set that everyone verifies with."""

import json
from dataclasses import dataclass
from pathlib import Path

from chassis.tokens import SigningKey
from stack.credentials import write_private
from stack.supervision.process_credentials import ProcessCredentials

KEY_FILE = "signing-key.pem"
JWKS_FILE = "jwks.json"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the two files are."""

    signing_key: Path
    jwks: Path

    @property
    def processes(self) -> ProcessCredentials:
        """The credentials of the processes."""
        return ProcessCredentials(self.signing_key.parent)


def ensure(data_folder: Path) -> KeyFiles:
    """Create the key once per data folder; the key set is written at every start, so that both always agree."""
    files = KeyFiles(data_folder / KEY_FILE, data_folder / JWKS_FILE)
    if files.signing_key.exists():
        key = SigningKey.load(files.signing_key)
    else:
        key = SigningKey.generate()
        write_private(files.signing_key, key.pem().decode())
    files.jwks.write_text(json.dumps(key.jwks(), indent=2) + "\n")
    files.processes.ensure()
    return files
