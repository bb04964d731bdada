"""The state of parts as a client may see it, and the note of what it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.live.events import PartState, locations
from edge.live.protocol import SnapshotPart, StaffSnapshotPart
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.live.part_states import PartStates
    from edge.live.session import Session


def snapshot_parts(
    session: Session, states: PartStates, part_ids: Sequence[str]
) -> list[SnapshotPart | StaffSnapshotPart]:
    """Each part in the order asked; one that the client may not hear of looks like one that there never was."""
    shown: list[SnapshotPart | StaffSnapshotPart] = []
    for part_id in part_ids:
        state = states.obtain(part_id)
        known = state if session.may_hear_of(state) else PartState(part_id)
        part = _staff_part(known) if session.sees_stock else _part(known)
        session.showed("stock", part_id, part.version)
        if part.content_version:
            session.showed("content", part_id, part.content_version)
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
