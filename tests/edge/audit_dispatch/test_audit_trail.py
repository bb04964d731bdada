"""How far the audit trail has come: for one who waits, and for many."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from changelog.cursor import Position
from edge.audit_dispatch.trail import POLL_SECONDS, AuditTrail
from tasks.audit.queries import position_of
from tasks.audit.store import AuditStore, Gap
from tests.tasks.entries import EPOCH, batch

if TYPE_CHECKING:
    import pytest

    from chassis.database import Database


def inventory(revision: int, epoch: uuid.UUID = EPOCH) -> Position:
    return Position("inventory", epoch, revision)


async def test_an_empty_trail_has_reached_the_start_of_a_log_only(trail: Database) -> None:
    reads = AuditTrail(trail, wait_seconds=0)

    assert await reads.reached([])
    assert await reads.reached([inventory(0)])
    assert not await reads.reached([inventory(1)])


async def test_every_log_that_is_named_must_be_reached(trail: Database) -> None:
    await AuditStore(trail.pool).record(batch(1, 3))
    reads = AuditTrail(trail, wait_seconds=0)

    assert await reads.reached([inventory(3)])
    assert not await reads.reached([inventory(4)])
    assert not await reads.reached([inventory(3), Position("content", EPOCH, 1)])


async def test_revisions_of_two_epochs_are_not_compared(trail: Database) -> None:
    store = AuditStore(trail.pool)
    await store.record(batch(1, 5))
    restored = uuid.uuid4()

    assert not await AuditTrail(trail, wait_seconds=0).reached([inventory(3, restored)])
    await store.record_gap(Gap("inventory", restored, 3, "restored"))
    assert await AuditTrail(trail, wait_seconds=0).reached([inventory(3, restored)])


async def test_read_continues_when_its_position_is_stored(trail: Database) -> None:
    store = AuditStore(trail.pool)
    await store.record(batch(1, 3))
    waiting = asyncio.create_task(AuditTrail(trail, wait_seconds=60).reached([inventory(4)]))
    await asyncio.sleep(0)

    await store.record(batch(4, 4))

    async with asyncio.timeout(20):
        assert await waiting


async def test_reads_that_wait_share_what_one_finds(trail: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return await position_of(*arguments)

    monkeypatch.setattr("edge.audit_dispatch.trail.position_of", counted)
    reads = AuditTrail(trail, wait_seconds=20 * POLL_SECONDS)

    results = await asyncio.gather(*(reads.reached([inventory(1)]) for _ in range(200)))

    assert results == [False] * 200
    assert looks < 200  # about 20, where each by itself would look about 20 times
