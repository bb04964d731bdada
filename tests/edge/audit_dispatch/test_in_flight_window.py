"""What the dispatcher has in hand: chunks of bounded size, in order; jobs in flight until the trail has them."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from changelog import cursor as cursors
from changelog.follower import ChangeBatch
from chassis.errors import StoreUnavailable, WatcherTooSlow
from edge.audit_dispatch.in_flight_window import (
    MAX_BYTES,
    MAX_ENTRIES,
    Chunk,
    EntryStream,
    InFlightWindow,
    SkippedError,
)
from partstream.inventory.v1.stock_change_pb2 import StockChange

EPOCH = uuid.UUID(int=7)


def cursor(revision: int) -> str:
    return cursors.encode(cursors.Position("inventory", EPOCH, revision))


def batch(*revisions: int, part_id: str = "C1") -> ChangeBatch:
    return ChangeBatch(
        cursor(revisions[-1]), [StockChange(revision=n, part_id=part_id) for n in revisions], fragment=False
    )


class Script:
    """A log that sends given messages and ends with a given error."""

    log = "inventory"

    def __init__(self, *messages: ChangeBatch | Exception) -> None:
        self.messages = messages
        self.asked_for = ""

    async def watch(self, cursor: str, bookmark_seconds: float) -> AsyncGenerator[ChangeBatch, None]:
        self.asked_for = cursor
        for message in self.messages:
            if isinstance(message, Exception):
                raise message
            yield message
        await asyncio.Event().wait()

    def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        raise NotImplementedError


async def chunks_of(script: Script, after: int = 0) -> list[Chunk]:
    """Chunks until nothing more comes."""
    stream = EntryStream(script, cursor(after), 5.0)
    found: list[Chunk] = []
    try:
        while (chunk := await stream.next_chunk(0.2)) is not None:
            found.append(chunk)
    finally:
        await stream.aclose()
    return found


async def test_many_small_messages_become_one_chunk() -> None:
    script = Script(batch(5), batch(6, 7), batch(8))
    chunks = await chunks_of(script, after=4)

    assert script.asked_for == cursor(4)
    assert [revision for chunk in chunks for revision in range(chunk.first, chunk.last + 1)] == [5, 6, 7, 8]
    assert {chunk.epoch for chunk in chunks} == {EPOCH}


async def test_a_large_message_is_cut() -> None:
    chunks = await chunks_of(Script(batch(*range(1, 2 * MAX_ENTRIES + 51))))

    assert [(chunk.first, len(chunk.entries)) for chunk in chunks] == [
        (1, MAX_ENTRIES),
        (MAX_ENTRIES + 1, MAX_ENTRIES),
        (2 * MAX_ENTRIES + 1, 50),
    ]


async def test_bytes_are_bounded_and_a_huge_entry_is_sent_alone() -> None:
    huge = "x" * (MAX_BYTES + 1)
    chunks = await chunks_of(Script(batch(1), batch(2, part_id=huge), batch(3)))

    assert [revision for chunk in chunks for revision in (chunk.first, chunk.last)][-4:] == [2, 2, 3, 3]


async def test_a_skipped_revision_ends_the_stream_after_the_entries_before_it() -> None:
    stream = EntryStream(Script(batch(1, 2), batch(4)), cursor(0), 5.0)

    seen = []
    with pytest.raises(SkippedError):
        while (chunk := await stream.next_chunk(5.0)) is not None:
            seen += [entry.revision for entry in chunk.entries]
    await stream.aclose()

    assert seen == [1, 2]


@pytest.mark.parametrize("error", [WatcherTooSlow("slow"), TimeoutError(), StoreUnavailable("away")])
async def test_what_ends_the_watch_is_raised_once_its_entries_are_taken(error: Exception) -> None:
    stream = EntryStream(Script(batch(1), error), cursor(0), 5.0)

    first = await stream.next_chunk(5.0)
    with pytest.raises(type(error)):
        await stream.next_chunk(5.0)
    await stream.aclose()

    assert first is not None
    assert first.last == 1


def test_jobs_are_in_flight_until_the_trail_has_them() -> None:
    flight = InFlightWindow()
    flight.begin(10, now=0.0)
    flight.sent(15, now=1.0)
    flight.sent(20, now=1.1)

    assert (flight.jobs, flight.entries) == (2, 10)
    assert flight.stored(15, now=1.2)
    assert (flight.jobs, flight.entries) == (1, 5)
    assert flight.stored(20, now=1.3)
    assert (flight.jobs, flight.entries) == (0, 0)


def test_standing_still_is_counted_from_the_last_movement_and_only_while_something_is_in_flight() -> None:
    flight = InFlightWindow()
    flight.begin(0, now=0.0)
    assert flight.still_for(100.0) == 0.0

    flight.sent(5, now=100.0)
    assert not flight.stored(0, now=101.0)
    assert flight.still_for(103.0) == 3.0
    flight.excuse(103.0)
    assert flight.still_for(104.0) == 1.0
    flight.stored(3, now=105.0)
    assert flight.still_for(106.0) == 1.0
