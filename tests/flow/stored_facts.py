"""What the databases of a stack hold, read past all of the code under test."""

from dataclasses import dataclass

import asyncpg

from changelog.integrity import Verdict, verify_chain
from tests.flow.running_stack import RunningStack

# The log: entries, distinct revisions, first and last.
LOG_EXTENT = "SELECT count(*), count(DISTINCT revision), min(revision), max(revision) FROM change_log"

# Movements that the ledger has and the log's entries explain.
MOVEMENTS = """
SELECT (SELECT count(*) FROM stock_movement) AS in_ledger,
       (SELECT coalesce(sum(jsonb_array_length(details -> 'movements')), 0) FROM change_log
        WHERE entity = 'stock_level') AS in_log
"""

# Audit rows of a service: rows, and distinct places in the log.
AUDIT_EXTENT = """
SELECT count(*) AS rows, count(DISTINCT (epoch, revision, ordinal)) AS places, count(DISTINCT revision) AS revisions,
       coalesce(max(revision), 0) AS last
FROM data_change WHERE service = $1
"""


# Movements of some parts, as the ledger has them.
LEDGER_OF = """
SELECT part_id, version, kind, on_hand_delta, on_hand_after FROM stock_movement
WHERE part_id = ANY($1) ORDER BY part_id, version, kind
"""

# And as the audit tells them.
AUDIT_OF = """
SELECT part_id, (new ->> 'version')::bigint, details ->> 'kind', (details ->> 'on_hand_delta')::bigint,
       (new ->> 'on_hand')::bigint
FROM data_change WHERE service = 'inventory' AND entity = 'stock_level' AND part_id = ANY($1) ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """A change log as stored."""

    entries: int
    gap_free: bool
    last: int
    chain: Verdict


async def log_facts(stack: RunningStack, service: str) -> LogFacts:
    """Read a service's change log: is it gap-free, and does its hash chain hold?"""
    connection = await asyncpg.connect(stack.state.databases[service])
    try:
        entries, distinct, first, last = await connection.fetchrow(LOG_EXTENT)
        gap_free = entries == distinct == (last or 0) - (first or 1) + 1
        return LogFacts(entries, gap_free, last or 0, await verify_chain(connection))
    finally:
        await connection.close()


async def movements(stack: RunningStack) -> tuple[int, int]:
    """Return how many movements the ledger holds and how many the log explains."""
    connection = await asyncpg.connect(stack.state.databases["inventory"])
    try:
        row = await connection.fetchrow(MOVEMENTS)
        return int(row["in_ledger"]), int(row["in_log"])
    finally:
        await connection.close()


async def ledger_of(stack: RunningStack, parts: list[str]) -> list[tuple[object, ...]]:
    """Return the movements of parts: part, version, kind, difference, units after it."""
    return await _rows(stack, "inventory", LEDGER_OF, parts)


async def audit_of(stack: RunningStack, parts: list[str]) -> list[tuple[object, ...]]:
    """Return the same from the audit store."""
    return await _rows(stack, "audit", AUDIT_OF, parts)


async def _rows(stack: RunningStack, database: str, query: str, parts: list[str]) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(stack.state.databases[database])
    try:
        return [tuple(row) for row in await connection.fetch(query, parts)]
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The audit rows of one service as stored."""

    rows: int
    places: int
    revisions: int
    last: int


async def audit_facts(stack: RunningStack, service: str) -> AuditFacts:
    """Read how much of a service's log the audit store holds."""
    connection = await asyncpg.connect(stack.state.databases["audit"])
    try:
        return AuditFacts(*await connection.fetchrow(AUDIT_EXTENT, service))
    finally:
        await connection.close()
