"""Where the epochs of a log ended: a restore records it, so that the entries that the trail lacks are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.audit.sql import STATEMENTS

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from tasks.audit.queries import Connection


@dataclass(frozen=True, slots=True)
class Ending:
    """The last revision of an epoch, and the one of it after which the restored log continues."""

    service: str
    epoch: UUID
    revision: int
    continued_after: int

    def missing(self, stored: int) -> range:
        """Return the revisions that a trail which has stored up to ``stored`` never gets.

        The entries of the restored log are stored again in its new epoch.
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
    await connection.execute(
        STATEMENTS["insert_ending"], ending.service, ending.epoch, ending.revision, ending.continued_after
    )


async def ending_of(connection: Connection, service: str, epoch: UUID) -> Ending | None:
    """Return where an epoch ended; ``None`` when no restore recorded it."""
    row = await connection.fetchrow(STATEMENTS["read_ending"], service, epoch)
    return None if row is None else Ending(service, epoch, row["revision"], row["continued_after"])
