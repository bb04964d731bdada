"""Verifies the log: walks the hash chain, compares rows with their entries, makes and checks signed checkpoints.

Each entry's hash covers the entry and the hash before it, so a changed, missing or inserted entry breaks the chain at
its revision. A chain that was truncated at its end is valid: only a checkpoint stored elsewhere reveals that. A row
written while the triggers were off leaves the chain intact: rows are compared with their newest entry.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    import asyncpg
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from chassis.tokens import SigningKey

_PAGE = 20_000  # rows hashed by one statement: about 0.2 s

# The hash that the oldest entry continues from: that of the last entry dropped, or of the first epoch's name.
_ANCHOR = """
SELECT coalesce(
    (SELECT c.last_hash FROM change_log_compaction AS c ORDER BY c.last_revision DESC LIMIT 1),
    (SELECT sha256(convert_to(l.epoch::text, 'UTF8')) FROM change_log AS l ORDER BY l.revision LIMIT 1)
) AS hash,
coalesce((SELECT max(c.last_revision) FROM change_log_compaction AS c), 0) AS revision
"""

# A page of the chain: each entry's own hash, and the hash expected from the one before it.
_WALK = """
SELECT revision, hash, change_log_entry_hash(
    coalesce(lag(hash) OVER (ORDER BY revision), $2), revision, epoch, transaction_id, entity, entity_id, version,
    operation, before, after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason,
    committed_at) AS expected
FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $3
"""

# Rows that differ from the log; each service's database defines the function. The first by name.
_ROWS = """
SELECT d.entity, d.entity_id, d.problem, count(*) OVER () AS found
FROM change_log_rows_that_differ() AS d ORDER BY d.entity, d.entity_id LIMIT $1
"""
_ROWS_NAMED = 10

# The newest entry, for a checkpoint.
_HEAD = "SELECT revision, epoch, hash FROM change_log ORDER BY revision DESC LIMIT 1"

# The hash of one entry.
_HASH_OF = "SELECT hash FROM change_log WHERE revision = $1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a walk: entries checked, and the first invalid revision with the problem, or none."""

    checked: int
    first_bad_revision: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs from its newest entry."""

    entity: str
    entity_id: str
    problem: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of the log at a revision, to be stored where the database's owner has no access."""

    log: str
    epoch: str
    revision: int
    hash: str
    made_at: str


async def verify_chain(connection: asyncpg.Connection[asyncpg.Record]) -> Verdict:
    """Walk the whole log in one snapshot, with constant memory."""
    checked = 0
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        anchor = await connection.fetchrow(_ANCHOR)
        at, previous = anchor["revision"], anchor["hash"]
        while True:
            rows = await connection.fetch(_WALK, at, previous, _PAGE, timeout=600)
            for row in rows:
                if row["revision"] != at + 1:
                    return Verdict(checked, at + 1, "the entry is missing")
                if row["hash"] != row["expected"]:
                    return Verdict(checked, row["revision"], "the entry or one before it was changed")
                at, previous = row["revision"], row["hash"]
                checked += 1
            if len(rows) < _PAGE:
                return Verdict(checked)


async def compare_rows(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[int, list[Difference]]:
    """Return how many rows differ from the log, and the first of them by name."""
    rows = await connection.fetch(_ROWS, _ROWS_NAMED, timeout=600)
    found = [Difference(row["entity"], row["entity_id"], row["problem"]) for row in rows]
    return (rows[0]["found"] if rows else 0), found


async def make_checkpoint(connection: asyncpg.Connection[asyncpg.Record], log: str) -> Checkpoint | None:
    """Return the newest entry as a checkpoint; ``None`` while the log is empty."""
    row = await connection.fetchrow(_HEAD)
    if row is None:
        return None
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Checkpoint(log, str(row["epoch"]), row["revision"], row["hash"].hex(), made_at)


async def compare_checkpoint(connection: asyncpg.Connection[asyncpg.Record], checkpoint: Checkpoint) -> Verdict:
    """Check that the log agrees with a checkpoint; one older than the oldest entry is accepted."""
    anchor = await connection.fetchrow(_ANCHOR)
    if checkpoint.revision < anchor["revision"]:
        return Verdict(0)
    found = (
        anchor["hash"]
        if checkpoint.revision == anchor["revision"] and checkpoint.revision
        else await connection.fetchval(_HASH_OF, checkpoint.revision)
    )
    if found is None:
        return Verdict(0, checkpoint.revision, "the checkpoint's entry is missing: the log was truncated")
    if found.hex() != checkpoint.hash:
        return Verdict(0, checkpoint.revision, "the log is another one than that of the checkpoint")
    return Verdict(1)


def _payload(checkpoint: Checkpoint) -> bytes:
    return json.dumps(asdict(checkpoint), sort_keys=True, separators=(",", ":")).encode()


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Return a checkpoint as JSON with its Ed25519 signature."""
    signature = base64.b64encode(key.sign(_payload(checkpoint))).decode()
    return json.dumps({**asdict(checkpoint), "key_id": key.jwk["kid"], "signature": signature}, indent=2)


def read_checkpoint(text: str, key: Ed25519PublicKey) -> Checkpoint:
    """Return the checkpoint in a signed text; raise ``ValueError`` unless it is well-formed and signed with the key."""
    try:
        fields = json.loads(text)
        signature = base64.b64decode(fields.pop("signature"))
        fields.pop("key_id")
        checkpoint = Checkpoint(**fields)
        key.verify(signature, _payload(checkpoint))
    except (KeyError, TypeError, AttributeError, ValueError, InvalidSignature):
        message = "the checkpoint is malformed, or not signed with this key"
        raise ValueError(message) from None
    return checkpoint
