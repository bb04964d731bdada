"""Snapshots: the state of parts as a client may view it, in frames of bounded size."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chassis.errors import NotFound
from edge.live.events import PartState, locations
from edge.live.fair_scheduling import PARTS_A_SLICE
from edge.live.protocol import SnapshotPart, StaffSnapshotPart, SubscribedFrame, encode
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from edge.live.client_state import ClientState
    from edge.live.fair_scheduling import SnapshotQueue
    from edge.live.outbox import Slot
    from edge.live.part_states import PartStates
    from edge.live.protocol import Subscription

PORTION_SECONDS: Final = 10.0  # to read the state of up to 1,000 parts
READ_AT_ONCE: Final = 1_000
PARTS_PER_FRAME: Final = 4_000  # about 500 KB; many clients take a message of 1 MiB at most
STAFF_PARTS_PER_FRAME: Final = 1_500  # with their locations


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """The content of a snapshot: ``named`` parts first, then those of the categories; at ``min_token`` at least."""

    subscription: Subscription
    named: list[str]
    cursor: str
    min_token: str


async def fill_snapshot(
    client: ClientState, states: PartStates, wanted: SnapshotRequest, slot: Slot, queue: SnapshotQueue
) -> None:
    """Fill a slot with ``subscribed`` frames: all but the last announce more, and have no cursor yet.

    Raise what the reads raise, and ``TimeoutError``.
    """
    subscription = wanted.subscription
    per_frame = STAFF_PARTS_PER_FRAME if client.is_stock_staff else PARTS_PER_FRAME
    waiting: list[SnapshotPart | StaffSnapshotPart] = []
    async for part_ids in _portions(states, wanted):
        if client.subscriptions.get(subscription.id) is not subscription:
            break  # the subscription ended meanwhile
        if part_ids is not wanted.named:  # named parts are charged with the message
            await client.allowance.owe(len(part_ids))
        async with queue.permit(client.allowance.address):
            async with asyncio.timeout(PORTION_SECONDS):
                await states.ensure([states.obtain(part_id) for part_id in part_ids])
                if wanted.min_token:
                    await states.refresh(part_ids, wanted.min_token)
            async with queue.slicing:
                for start in range(0, len(part_ids), PARTS_A_SLICE):
                    slice_ids = part_ids[start : start + PARTS_A_SLICE]
                    waiting += snapshot_parts(client, states, slice_ids, subscription.parts)
                    await asyncio.sleep(0)
        while len(waiting) > per_frame:
            frame = SubscribedFrame(subscription.id, "", recovered=False, parts=waiting[:per_frame], more=True)
            del waiting[:per_frame]
            await slot.put(encode(frame), more=True)
    last = SubscribedFrame(subscription.id, wanted.cursor, recovered=False, parts=waiting)
    await slot.put(encode(last), more=False)


async def _portions(states: PartStates, wanted: SnapshotRequest) -> AsyncIterator[list[str]]:
    """Yield the parts of a snapshot, each once, in portions that can be read together."""
    subscription = wanted.subscription
    if wanted.named or not subscription.categories:
        yield wanted.named
    if not subscription.categories:
        return
    seen: set[str] = set(subscription.parts)
    is_single = len(subscription.categories) == 1
    for category_id in sorted(subscription.categories):
        portion: list[str] = []
        async for page in _pages(states, category_id, wanted):
            fresh = [part_id for part_id in page if part_id not in seen]
            if not is_single:
                seen.update(fresh)  # one category may be a descendant of another
            portion += fresh
            if len(portion) >= READ_AT_ONCE:
                yield portion
                portion = []
        if portion:
            yield portion


async def _pages(states: PartStates, category_id: str, wanted: SnapshotRequest) -> AsyncIterator[Sequence[str]]:
    page_token = ""
    while True:
        try:
            async with states.reading_categories, asyncio.timeout(PORTION_SECONDS):
                page = await states.of_category(category_id, page_token, wanted.min_token or wanted.cursor)
        except NotFound:
            return  # a category that does not exist is empty
        yield page.part_ids
        page_token = page.next_page_token
        if not page_token:
            return


def snapshot_parts(
    client: ClientState, states: PartStates, part_ids: Sequence[str], named: Collection[str]
) -> list[SnapshotPart | StaffSnapshotPart]:
    """Return each part in the order given; one that the client may not view looks like one that never existed.

    Parts that were not named are left out then.
    """
    shown: list[SnapshotPart | StaffSnapshotPart] = []
    for part_id in part_ids:
        state = states.obtain(part_id)
        may_hear = client.may_view(state)
        if not may_hear and part_id not in named:
            continue
        known = state if may_hear else PartState(part_id)
        part = _staff_part(known) if client.is_stock_staff else _part(known)
        client.mark_shown("stock", part_id, part.version)
        if part.content_version:
            client.mark_shown("content", part_id, part.content_version)
        shown.append(part)
    return shown


def _part(state: PartState) -> SnapshotPart:
    stock = state.stock or _none(state.part_id)
    return SnapshotPart(
        stock.part_id, stock.version, stock.available, stock.in_stock, stock.low_stock, state.content_version
    )


def _staff_part(state: PartState) -> StaffSnapshotPart:
    stock = state.stock or _none(state.part_id)
    return StaffSnapshotPart(
        part_id=stock.part_id,
        version=stock.version,
        available=stock.available,
        in_stock=stock.in_stock,
        low_stock=stock.low_stock,
        on_hand=stock.on_hand,
        reserved=stock.reserved,
        locations=locations(stock),
        content_version=state.content_version,
    )


def _none(part_id: str) -> stock_pb2.PartStock:
    return stock_pb2.PartStock(part_id=part_id, low_stock=True)
