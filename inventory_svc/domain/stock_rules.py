"""The rules of stock levels: counts, differences, batches, transfers, archive, reorder point, reversal.

Every rule checks the expected version first, then the state, then the amounts, and only then moves anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chassis.errors import (
    BatchAborted,
    FieldInvalid,
    FieldViolation,
    IllegalState,
    PartstreamError,
    ResourceRef,
    VersionConflict,
    VersionRequired,
)
from inventory_svc.domain.reservation_expiry import expire_overdue
from inventory_svc.domain.stock import Movement, MovementKind, StockLevel
from inventory_svc.errors import (
    InsufficientStock,
    LocationArchived,
    LocationNotFound,
    MovementNotReversible,
    PartArchived,
    PartNotFound,
)

if TYPE_CHECKING:
    from inventory_svc.domain.book import Draft
    from inventory_svc.domain.intents import (
        AdjustStock,
        ArchiveStock,
        BatchAdjust,
        RestoreStock,
        ReverseMovement,
        SetReorderPoint,
        SetStock,
        TransferStock,
    )
    from inventory_svc.domain.stock import LevelKey

# Kinds that belong to a larger step: undoing one half of it would leave the other half wrong.
_PART_OF_A_STEP = {
    MovementKind.RESERVED: "reservation",
    MovementKind.RELEASED: "reservation",
    MovementKind.TRANSFERRED_IN: "transfer",
    MovementKind.TRANSFERRED_OUT: "transfer",
    MovementKind.REVERSED: "reversal",
}


def set_stock(draft: Draft, intent: SetStock) -> StockLevel:
    """The level after a count; made when it was missing and the caller said that it may be."""
    level = draft.level(intent.key)
    if level is None:
        return _create_level(draft, intent)
    if intent.expected_version is None and not intent.unconditional:
        message = "Say which version this count replaces (expected_version), or that it is unconditional."
        raise VersionRequired(message, current=level, metadata={"current_version": str(level.version)})
    level.check_version(intent.expected_version)
    _require_live(level)
    if intent.on_hand < level.reserved:
        level = _expire_overdue_of(draft, level)
    if intent.on_hand < level.reserved:
        raise _insufficient(level, level.on_hand - intent.on_hand)
    return draft.move(level, MovementKind.COUNTED, intent.on_hand - level.on_hand, 0, intent.reason)


def _create_level(draft: Draft, intent: SetStock) -> StockLevel:
    _require_live_location(draft, intent.key[1])
    if intent.expected_version and intent.allow_missing:
        message = f"Version {intent.expected_version} was expected, but there is no such level now."
        raise VersionConflict(
            message, metadata={"expected_version": str(intent.expected_version), "current_version": "0"}
        )
    if intent.expected_version != 0 and not intent.allow_missing:
        raise _part_not_found(intent.key)
    return draft.move(_unborn(draft, intent.key), MovementKind.COUNTED, intent.on_hand, 0, intent.reason)


def adjust_stock(draft: Draft, intent: AdjustStock) -> StockLevel:
    """The level after a difference."""
    level = draft.level(intent.key)
    if level is None:
        level = _made_on_demand(draft, intent)
    if intent.expected_version is not None and intent.expected_version != level.version:
        level.check_version(intent.expected_version)
    if level.archived_at is not None:
        _require_live(level)
    if intent.expected_on_hand is not None and intent.expected_on_hand != level.on_hand:
        raise _unexpected_on_hand(level, intent.expected_on_hand)
    if intent.delta < 0 and level.on_hand + intent.delta < level.reserved:
        level = _expire_overdue_of(draft, level)
        if level.on_hand + intent.delta < level.reserved:
            raise _insufficient(level, -intent.delta)
    return draft.move(level, intent.kind, intent.delta, 0, intent.reason)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item of a batch: the level after it, or why it was refused and the level as it is."""

    level: StockLevel | None
    error: PartstreamError | None = None


def adjust_batch(draft: Draft, intent: BatchAdjust) -> list[ItemResult]:
    """One result per item, in order. An item that fails moves nothing; in an atomic batch it fails the batch."""
    results: list[ItemResult] = []
    for position, item in enumerate(intent.adjustments):
        try:
            results.append(ItemResult(adjust_stock(draft, item)))
        except PartstreamError as error:
            if intent.atomic:
                raise _batch_aborted(position, item, error) from error
            results.append(ItemResult(draft.level(item.key), error))
    return results


@dataclass(frozen=True, slots=True)
class Transferred:
    """Both levels after a transfer."""

    from_level: StockLevel
    to_level: StockLevel


def transfer_stock(draft: Draft, intent: TransferStock) -> Transferred:
    """Both levels after the move; the receiving one is made when it was missing."""
    if intent.from_location_id == intent.to_location_id:
        message = "Stock is transferred between two different locations."
        raise FieldInvalid(message, fields=(FieldViolation("to_location_id", message),))
    giving = draft.level((intent.part_id, intent.from_location_id))
    if giving is None:
        _require_location(draft, intent.from_location_id)
        raise _part_not_found((intent.part_id, intent.from_location_id))
    giving.check_version(intent.expected_version)
    _require_live(giving)
    _require_live_location(draft, intent.to_location_id)
    to_key = (intent.part_id, intent.to_location_id)
    receiving = draft.level(to_key) or _unborn(draft, to_key)
    _require_live(receiving)
    if giving.available_stock < intent.quantity:
        giving = _expire_overdue_of(draft, giving)
        receiving = draft.level(to_key) or receiving
    if giving.available_stock < intent.quantity:
        raise _insufficient(giving, intent.quantity)
    # Receiving first: if that level would grow too large, nothing has been taken yet.
    received = draft.move(receiving, MovementKind.TRANSFERRED_IN, intent.quantity, 0, intent.reason)
    return Transferred(draft.move(giving, MovementKind.TRANSFERRED_OUT, -intent.quantity, 0, intent.reason), received)


def archive_stock(draft: Draft, intent: ArchiveStock) -> StockLevel:
    """The level out of use: a movement without units, so that its version tells every follower."""
    level = _existing(draft, intent.key, intent.expected_version)
    _require_live(level)
    if level.reserved:
        level = _expire_overdue_of(draft, level)
    if level.reserved:
        message = f"{level.reserved} units are still reserved: release them before the level is archived."
        raise IllegalState(message, current=level, metadata={"reserved": str(level.reserved)})
    return _restate(draft, replace(level, archived_at=draft.now), intent.reason or "archived")


def restore_stock(draft: Draft, intent: RestoreStock) -> StockLevel:
    """The level back in use."""
    level = _existing(draft, intent.key, intent.expected_version)
    _require_live_location(draft, level.location_id)
    if level.archived_at is None:
        message = "The level is not archived."
        raise IllegalState(message, current=level)
    return _restate(draft, replace(level, archived_at=None), intent.reason or "restored")


def set_reorder_point(draft: Draft, intent: SetReorderPoint) -> StockLevel:
    """The level with a new reorder point: a movement without units."""
    level = _existing(draft, intent.key, intent.expected_version)
    _require_live(level)
    reason = f"reorder point {level.reorder_point} -> {intent.reorder_point}"
    return _restate(draft, replace(level, reorder_point=intent.reorder_point), reason)


@dataclass(frozen=True, slots=True)
class Reversed:
    """The level after a reversal and the movement that made it."""

    level: StockLevel
    movement: Movement


def reverse_movement(draft: Draft, intent: ReverseMovement) -> Reversed:
    """The compensating movement. That a movement is reversed once only is kept by the database."""
    undone = intent.movement
    level = draft.level((undone.part_id, undone.location_id))
    if level is None:
        raise _part_not_found((undone.part_id, undone.location_id))
    _require_live(level)
    if undone.kind in _PART_OF_A_STEP:
        raise _not_reversible(undone, _PART_OF_A_STEP[MovementKind(undone.kind)])
    if undone.on_hand_delta == 0:
        raise _not_reversible(undone, "no_units_moved")
    if level.on_hand - undone.on_hand_delta < level.reserved:
        level = _expire_overdue_of(draft, level)
    if level.on_hand - undone.on_hand_delta < level.reserved:
        facts = {"requested": str(undone.on_hand_delta), "available": str(level.available_stock)}
        raise _not_reversible(undone, "insufficient_stock", facts)
    reason = intent.reason or f"reverses version {undone.version}"
    after = draft.move(level, MovementKind.REVERSED, -undone.on_hand_delta, 0, reason, reverses_version=undone.version)
    return Reversed(after, draft.movements[-1])


def _existing(draft: Draft, key: LevelKey, expected_version: int | None) -> StockLevel:
    level = draft.level(key)
    if level is None:
        raise _part_not_found(key)
    level.check_version(expected_version)
    return level


def _restate(draft: Draft, level: StockLevel, reason: str) -> StockLevel:
    return draft.move(level, MovementKind.ADJUSTED, 0, 0, reason)


def _made_on_demand(draft: Draft, intent: AdjustStock) -> StockLevel:
    if not intent.allow_missing:
        raise _part_not_found(intent.key)
    _require_live_location(draft, intent.key[1])
    return _unborn(draft, intent.key)


def _unborn(draft: Draft, key: LevelKey) -> StockLevel:
    """A level before its first movement."""
    return StockLevel(key[0], key[1], 0, 0, 0, 0, draft.now, draft.origin.actor_id, draft.origin.actor_name)


def _expire_overdue_of(draft: Draft, level: StockLevel) -> StockLevel:
    """End the overdue holds on a part that runs short, and look at the level again."""
    expire_overdue(draft, {level.part_id})
    return draft.level(level.key) or level


def _require_live(level: StockLevel) -> None:
    if level.archived_at is not None:
        message = f"The stock of {level.part_id} at {level.location_id} is archived."
        raise PartArchived(message, current=level, resource=ResourceRef("stock_level", "/".join(level.key)))


def _require_location(draft: Draft, location_id: str) -> None:
    if draft.location(location_id) is None:
        message = f"There is no location {location_id}."
        raise LocationNotFound(message, resource=ResourceRef("location", location_id))


def _require_live_location(draft: Draft, location_id: str) -> None:
    _require_location(draft, location_id)
    location = draft.location(location_id)
    if location is not None and location.archived_at is not None:
        message = f"The location {location_id} is archived."
        raise LocationArchived(message, resource=ResourceRef("location", location_id))


def _part_not_found(key: LevelKey) -> PartNotFound:
    message = f"There is no stock of {key[0]} at {key[1]}."
    return PartNotFound(
        message, metadata={"part_id": key[0], "location_id": key[1]}, resource=ResourceRef("stock_level", "/".join(key))
    )


def _insufficient(level: StockLevel, requested: int) -> InsufficientStock:
    message = f"{requested} units of {level.part_id} were asked for, {level.available_stock} are available."
    return InsufficientStock(
        message,
        current=level,
        metadata={
            "part_id": level.part_id,
            "location_id": level.location_id,
            "requested": str(requested),
            "available": str(level.available_stock),
        },
    )


def _unexpected_on_hand(level: StockLevel, expected: int) -> VersionConflict:
    conflict = VersionConflict(
        f"{expected} units were expected to be there, but it is {level.on_hand} now.",
        current=level,
        metadata={
            "part_id": level.part_id,
            "location_id": level.location_id,
            "expected_on_hand": str(expected),
            "current_on_hand": str(level.on_hand),
            "current_version": str(level.version),
            "changed_by": level.last_updated_by_name,
            "changed_at": level.updated_at.isoformat().replace("+00:00", "Z"),
        },
    )
    return conflict  # noqa: RET504 - the name says what the numbers are


def _batch_aborted(position: int, item: AdjustStock, error: PartstreamError) -> BatchAborted:
    return BatchAborted(
        f"Nothing was applied: item {position} ({item.key[0]} at {item.key[1]}) was refused. {error.message}",
        current=error.current,
        metadata={**error.metadata, "item": str(position), "item_reason": error.reason},
        preconditions=(FieldViolation(f"adjustments[{position}]", f"{error.reason}: {error.message}"),),
    )


def _not_reversible(movement: Movement, cause: str, facts: dict[str, str] | None = None) -> MovementNotReversible:
    message = f"Version {movement.version} of {movement.part_id} at {movement.location_id} cannot be reversed: {cause}."
    return MovementNotReversible(message, metadata={"cause": cause, **(facts or {})})
