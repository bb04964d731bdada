"""Where the epochs of a log ended: what a restore replaced, so that the trail can say which entries it never had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from tasks.audit.queries import Connection

# Note an ending; the first note counts.
INSERT_ENDING = """
INSERT INTO log_ending (service, epoch, revision, continued_after) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""

# The ending of one epoch.
ENDING_OF = "SELECT revision, continued_after FROM log_ending WHERE service = $1 AND epoch = $2"


@dataclass(frozen=True, slots=True)
class Ending:
    """The last revision of an epoch, and the one of it after which the restored log continues."""

    service: str
    epoch: UUID
    revision: int
    continued_after: int

    def missing(self, stored: int) -> range:
        """Return the revisions that a trail which stored this much never gets.

        What the restored log has comes again, in its new epoch.
        """
        return range(max(stored, self.continued_after) + 1, self.revision + 1)


def describe_missing(revisions: range, epoch: UUID) -> str:
    """Return how many entries of an epoch are missing, and which."""
    if not revisions:
        return f"no entry of epoch {epoch} is missing"
    entries = "entry" if len(revisions) == 1 else "entries"
    return f"{len(revisions)} {entries} of epoch {epoch} missing: revisions {revisions[0]} to {revisions[-1]}"


async def record_ending(connection: asyncpg.Connection[asyncpg.Record], ending: Ending) -> None:
    """Note where an epoch ended."""
    await connection.execute(INSERT_ENDING, ending.service, ending.epoch, ending.revision, ending.continued_after)


async def ending_of(connection: Connection, service: str, epoch: UUID) -> Ending | None:
    """Return where an epoch ended; ``None`` when no restore noted it."""
    row = await connection.fetchrow(ENDING_OF, service, epoch)
    return None if row is None else Ending(service, epoch, row["revision"], row["continued_after"])
