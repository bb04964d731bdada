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
    from inventory_svc.domain.commands import (
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
    from inventory_svc.domain.unit_of_work import RequestChanges

# Kinds that belong to a larger step: a reversal of one half would leave the other half wrong.
_PART_OF_A_STEP = {
    MovementKind.RESERVED: "reservation",
    MovementKind.RELEASED: "reservation",
    MovementKind.TRANSFERRED_IN: "transfer",
    MovementKind.TRANSFERRED_OUT: "transfer",
    MovementKind.REVERSED: "reversal",
}


def set_stock(changes: RequestChanges, command: SetStock) -> StockLevel:
    """Return the level after a count. Create a missing level when the command allows it."""
    level = changes.level(command.key)
    if level is None:
        return _create_level(changes, command)
    if command.expected_version is None and not command.unconditional:
        message = "Send the version that this count replaces (expected_version), or unconditional."
        raise VersionRequired(message, current=level, metadata={"current_version": str(level.version)})
    level.check_version(command.expected_version)
    _require_live(level)
    if command.on_hand < level.reserved:
        level = _expire_overdue_of(changes, level)
    if command.on_hand < level.reserved:
        raise _insufficient(level, level.on_hand - command.on_hand)
    return changes.move(level, MovementKind.COUNTED, command.on_hand - level.on_hand, 0, command.reason)


def _create_level(changes: RequestChanges, command: SetStock) -> StockLevel:
    _require_live_location(changes, command.key[1])
    if command.expected_version and command.allow_missing:
        message = f"Version {command.expected_version} was expected, but there is no such level now."
        raise VersionConflict(
            message, metadata={"expected_version": str(command.expected_version), "current_version": "0"}
        )
    if command.expected_version != 0 and not command.allow_missing:
        raise _part_not_found(command.key)
    return changes.move(_unborn(changes, command.key), MovementKind.COUNTED, command.on_hand, 0, command.reason)


def adjust_stock(changes: RequestChanges, command: AdjustStock) -> StockLevel:
    """Return the level after a difference."""
    level = changes.level(command.key)
    if level is None:
        level = _made_on_demand(changes, command)
    if command.expected_version is not None and command.expected_version != level.version:
        level.check_version(command.expected_version)
    if level.archived_at is not None:
        _require_live(level)
    if command.expected_on_hand is not None and command.expected_on_hand != level.on_hand:
        raise _unexpected_on_hand(level, command.expected_on_hand)
    if command.delta < 0 and level.on_hand + command.delta < level.reserved:
        level = _expire_overdue_of(changes, level)
        if level.on_hand + command.delta < level.reserved:
            raise _insufficient(level, -command.delta)
    return changes.move(level, command.kind, command.delta, 0, command.reason)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """Result of one item of a batch: the level after it, or the error and the current level."""

    level: StockLevel | None
    error: PartstreamError | None = None


def adjust_batch(changes: RequestChanges, command: BatchAdjust) -> list[ItemResult]:
    """Return one result per item, in order. A rejected item changes nothing; it aborts an atomic batch."""
    results: list[ItemResult] = []
    for position, item in enumerate(command.adjustments):
        try:
            results.append(ItemResult(adjust_stock(changes, item)))
        except PartstreamError as error:
            if command.atomic:
                raise _batch_aborted(position, item, error) from error
            results.append(ItemResult(changes.level(item.key), error))
    return results


@dataclass(frozen=True, slots=True)
class Transferred:
    """Both levels after a transfer."""

    from_level: StockLevel
    to_level: StockLevel


def transfer_stock(changes: RequestChanges, command: TransferStock) -> Transferred:
    """Return both levels after a transfer. Create a missing receiving level."""
    if command.from_location_id == command.to_location_id:
        message = "Stock is transferred between two different locations."
        raise FieldInvalid(message, fields=(FieldViolation("to_location_id", message),))
    giving = changes.level((command.part_id, command.from_location_id))
    if giving is None:
        _require_location(changes, command.from_location_id)
        raise _part_not_found((command.part_id, command.from_location_id))
    giving.check_version(command.expected_version)
    _require_live(giving)
    _require_live_location(changes, command.to_location_id)
    to_key = (command.part_id, command.to_location_id)
    receiving = changes.level(to_key) or _unborn(changes, to_key)
    _require_live(receiving)
    if giving.available_stock < command.quantity:
        giving = _expire_overdue_of(changes, giving)
        receiving = changes.level(to_key) or receiving
    if giving.available_stock < command.quantity:
        raise _insufficient(giving, command.quantity)
    # Receiving first: if that level would grow too large, nothing has been taken yet.
    received = changes.move(receiving, MovementKind.TRANSFERRED_IN, command.quantity, 0, command.reason)
    return Transferred(
        changes.move(giving, MovementKind.TRANSFERRED_OUT, -command.quantity, 0, command.reason), received
    )


def archive_stock(changes: RequestChanges, command: ArchiveStock) -> StockLevel:
    """Return the archived level. The movement without units gives it a new version."""
    level = _existing(changes, command.key, command.expected_version)
    _require_live(level)
    if level.reserved:
        level = _expire_overdue_of(changes, level)
    if level.reserved:
        message = f"{level.reserved} units are still reserved: release them before the level is archived."
        raise IllegalState(message, current=level, metadata={"reserved": str(level.reserved)})
    return _restate(changes, replace(level, archived_at=changes.now), command.reason or "archived")


def restore_stock(changes: RequestChanges, command: RestoreStock) -> StockLevel:
    """Return the restored level."""
    level = _existing(changes, command.key, command.expected_version)
    _require_live_location(changes, level.location_id)
    if level.archived_at is None:
        message = "The level is not archived."
        raise IllegalState(message, current=level)
    return _restate(changes, replace(level, archived_at=None), command.reason or "restored")


def set_reorder_point(changes: RequestChanges, command: SetReorderPoint) -> StockLevel:
    """Return the level with a new reorder point, by a movement without units."""
    level = _existing(changes, command.key, command.expected_version)
    _require_live(level)
    reason = f"reorder point {level.reorder_point} -> {command.reorder_point}"
    return _restate(changes, replace(level, reorder_point=command.reorder_point), reason)


@dataclass(frozen=True, slots=True)
class Reversed:
    """The level after a reversal and the movement that made it."""

    level: StockLevel
    movement: Movement


def reverse_movement(changes: RequestChanges, command: ReverseMovement) -> Reversed:
    """Return the level and the compensating movement. The database rejects a second reversal of a movement."""
    undone = command.movement
    level = changes.level((undone.part_id, undone.location_id))
    if level is None:
        raise _part_not_found((undone.part_id, undone.location_id))
    _require_live(level)
    if undone.kind in _PART_OF_A_STEP:
        raise _not_reversible(undone, _PART_OF_A_STEP[MovementKind(undone.kind)])
    if undone.on_hand_delta == 0:
        raise _not_reversible(undone, "no_units_moved")
    if level.on_hand - undone.on_hand_delta < level.reserved:
        level = _expire_overdue_of(changes, level)
    if level.on_hand - undone.on_hand_delta < level.reserved:
        facts = {"requested": str(undone.on_hand_delta), "available": str(level.available_stock)}
        raise _not_reversible(undone, "insufficient_stock", facts)
    reason = command.reason or f"reverses version {undone.version}"
    after = changes.move(
        level, MovementKind.REVERSED, -undone.on_hand_delta, 0, reason, reverses_version=undone.version
    )
    return Reversed(after, changes.movements[-1])


def _existing(changes: RequestChanges, key: LevelKey, expected_version: int | None) -> StockLevel:
    level = changes.level(key)
    if level is None:
        raise _part_not_found(key)
    level.check_version(expected_version)
    return level


def _restate(changes: RequestChanges, level: StockLevel, reason: str) -> StockLevel:
    return changes.move(level, MovementKind.ADJUSTED, 0, 0, reason)


def _made_on_demand(changes: RequestChanges, command: AdjustStock) -> StockLevel:
    if not command.allow_missing:
        raise _part_not_found(command.key)
    _require_live_location(changes, command.key[1])
    return _unborn(changes, command.key)


def _unborn(changes: RequestChanges, key: LevelKey) -> StockLevel:
    """Return a level before its first movement."""
    return StockLevel(key[0], key[1], 0, 0, 0, 0, changes.now, changes.origin.actor_id, changes.origin.actor_name)


def _expire_overdue_of(changes: RequestChanges, level: StockLevel) -> StockLevel:
    """Expire the overdue reservations of a part that lacks stock; return the level after it."""
    expire_overdue(changes, {level.part_id})
    return changes.level(level.key) or level


def _require_live(level: StockLevel) -> None:
    if level.archived_at is not None:
        message = f"The stock of {level.part_id} at {level.location_id} is archived."
        raise PartArchived(message, current=level, resource=ResourceRef("stock_level", "/".join(level.key)))


def _require_location(changes: RequestChanges, location_id: str) -> None:
    if changes.location(location_id) is None:
        message = f"There is no location {location_id}."
        raise LocationNotFound(message, resource=ResourceRef("location", location_id))


def _require_live_location(changes: RequestChanges, location_id: str) -> None:
    _require_location(changes, location_id)
    location = changes.location(location_id)
    if location is not None and location.archived_at is not None:
        message = f"The location {location_id} is archived."
        raise LocationArchived(message, resource=ResourceRef("location", location_id))


def _part_not_found(key: LevelKey) -> PartNotFound:
    message = f"There is no stock of {key[0]} at {key[1]}."
    return PartNotFound(
        message, metadata={"part_id": key[0], "location_id": key[1]}, resource=ResourceRef("stock_level", "/".join(key))
    )


def _insufficient(level: StockLevel, requested: int) -> InsufficientStock:
    message = f"{requested} units of {level.part_id} are requested, {level.available_stock} are available."
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
        f"Nothing was applied: item {position} ({item.key[0]} at {item.key[1]}) was rejected. {error.message}",
        current=error.current,
        metadata={**error.metadata, "item": str(position), "item_reason": error.reason},
        preconditions=(FieldViolation(f"adjustments[{position}]", f"{error.reason}: {error.message}"),),
    )


def _not_reversible(movement: Movement, cause: str, facts: dict[str, str] | None = None) -> MovementNotReversible:
    message = f"Version {movement.version} of {movement.part_id} at {movement.location_id} cannot be reversed: {cause}."
    return MovementNotReversible(message, metadata={"cause": cause, **(facts or {})})
