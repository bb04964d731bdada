"""What waits for a slow client: bounded, newest per part, and every cursor true when it is sent."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from changelog.cursor import Position
from edge.live.errors import TooSlow
from edge.live.events import ContentEvent, PartState, StockEvent
from edge.live.limits import LiveLimits
from edge.live.outbox import Outbox
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2
from tests.edge.cache.histories import stock_change

EPOCH = uuid.uuid4()


def stock_event(revision: int, part_id: str) -> StockEvent:
    change = stock_change(revision, part_id, "main", revision, revision)
    return StockEvent(change, PartState(part_id), (Position("inventory", EPOCH, revision),))


def content_event(revision: int, operation: origin_pb2.Operation.ValueType, *changed: str) -> ContentEvent:
    public = part_pb2.Part(part_id="A", status=part_pb2.PART_STATUS_PUBLISHED)
    change = part_change_pb2.PartChange(
        revision=revision,
        part_id="A",
        version=revision,
        operation=operation,
        before=None if operation == origin_pb2.OPERATION_CREATED else public,
        after=public,
        changed_fields=changed,
    )
    return ContentEvent(change, (Position("content", EPOCH, revision),), frozenset())


@given(st.lists(st.one_of(st.sampled_from("ABC"), st.none()), max_size=40))
async def test_slow_client_gets_the_newest_and_no_cursor_promises_too_much(steps: list[str | None]) -> None:
    outbox = Outbox(LiveLimits())
    newest: dict[str, int] = {}
    had: dict[str, int] = {}

    for revision, part_id in enumerate([*steps, *[None] * 4], start=1):
        if part_id is not None:
            outbox.put_latest(stock_event(revision, part_id))
            newest[part_id] = revision
            continue
        event = outbox.take()
        if event is None:
            continue
        assert isinstance(event, StockEvent)
        reached = event.positions[0].revision
        assert reached > had.get(event.part_id, 0)
        had[event.part_id] = reached
        # A client that resumes after `reached` gets the newest state of every part that it has not got yet.
        assert all(latest > reached or had.get(part) == latest for part, latest in newest.items())

    assert had == newest


async def test_slow_reader_of_every_event_is_closed_at_a_bound() -> None:
    outbox = Outbox(LiveLimits(queue_bytes=10_000))

    for revision in range(1, 1000):
        outbox.put_every(stock_event(revision, "A"))

    assert isinstance(outbox.closing, TooSlow)
    assert len(outbox) == 0


async def test_reader_of_every_event_gets_each_in_order() -> None:
    outbox = Outbox(LiveLimits())
    events = [stock_event(revision, "A") for revision in range(1, 6)]

    for event in events:
        outbox.put_every(event)

    assert [outbox.take() for _ in events] == events
    assert outbox.take() is None


async def test_superseded_content_event_leaves_what_it_changed() -> None:
    outbox = Outbox(LiveLimits())

    outbox.put_latest(content_event(1, origin_pb2.OPERATION_CREATED, "title"))
    outbox.put_latest(content_event(2, origin_pb2.OPERATION_UPDATED, "price"))
    event = outbox.take()

    assert isinstance(event, ContentEvent)
    assert (event.version, event.changed, event.operation) == (2, frozenset({"price", "title"}), "created")
    assert outbox.take() is None
