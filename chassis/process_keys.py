"""The identities of the system's processes: a key set with the process of each key and its permissions.

It is a JWKS (RFC 7517) with additional members. A process authenticates with a token that it signs with its key; its
permissions are in the key set, not in the token.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt

from chassis.caller import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

PROCESS: Final = "partstream_process"  # name of the process
PERMISSIONS: Final = "partstream_permissions"
NAMES_ITSELF: Final = "partstream_names_itself"  # one key for many short-lived tools, each with a name of its own
UNTIL: Final = "partstream_until"  # seconds since the epoch: when a rotated key expires

_TOOL_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")

_READS: Final = frozenset({"content:read", "stock:read", "changes:read"})
# Permissions of each process that calls another one. The worker and the scheduler call none.
PROCESS_PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    "edge": _READS | {"followers:write"},
    "inventory": frozenset({"content:read", "changes:read"}),
    "content": frozenset(),
    "tools": _READS
    | {
        "content:write",
        "content:publish",
        "stock:write",
        "audit:read",
        "followers:write",
    },
}
TOOLS: Final = "tools"


def process_user_id(name: str) -> str:
    """Return the id of a process in change logs; stable over restarts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"partstream:service:{name}"))


@dataclass(frozen=True, slots=True)
class ProcessKey:
    """A key of the set: its process, permissions and expiry."""

    jwk: jwt.PyJWK
    key_id: str
    process: str
    permissions: frozenset[str]
    names_itself: bool
    until: float | None

    @property
    def is_current(self) -> bool:
        """Whether the key is not expired."""
        return self.until is None or time.time() < self.until

    def caller(self, claimed_name: str) -> Caller:
        """Return the process as a caller. Only a tool may choose its name, and not that of another process."""
        own = self.names_itself and _TOOL_NAME.fullmatch(claimed_name) and claimed_name not in PROCESS_PERMISSIONS
        name = claimed_name if own else self.process
        return Caller(
            process_user_id(name),
            name,
            roles=frozenset({"service"}),
            permissions=self.permissions,
            key_id=self.key_id,
            process=self.process,
        )


def entry(jwk: Mapping[str, str], process: str) -> dict[str, Any]:
    """Return the member of the key set for the public key of a process."""
    found: dict[str, Any] = {**jwk, PROCESS: process, PERMISSIONS: sorted(PROCESS_PERMISSIONS[process])}
    return {**found, NAMES_ITSELF: True} if process == TOOLS else found


def read_process_keys(raw: bytes) -> dict[str, ProcessKey]:
    """Return the keys of a set by id; raise ``ValueError`` when it is malformed."""
    try:
        return {item["kid"]: _process_key(item) for item in json.loads(raw)["keys"]}
    except (KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        message = f"malformed key set of processes: {error!r}"
        raise ValueError(message) from None


def _process_key(item: dict[str, Any]) -> ProcessKey:
    until = item.get(UNTIL)
    return ProcessKey(
        jwk=jwt.PyJWK.from_dict(item),
        key_id=item["kid"],
        process=str(item[PROCESS]),
        permissions=frozenset(item[PERMISSIONS]),
        names_itself=bool(item.get(NAMES_ITSELF)),
        until=None if until is None else float(until),
    )
