"""The use case of every write: one command, decided by its rule and applied to a unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inventory_svc.domain import commands
from inventory_svc.domain.if_match import require_match
from inventory_svc.domain.location_rules import archive_location, create_location
from inventory_svc.domain.reservation_rules import (
    commit_reservation,
    create_reservation,
    expire_all_overdue,
    extend_reservation,
    release_reservation,
    take_over_cart,
)
from inventory_svc.domain.stock_rules import (
    adjust_batch,
    adjust_stock,
    archive_stock,
    restore_stock,
    reverse_movement,
    set_reorder_point,
    set_stock,
    transfer_stock,
)
from inventory_svc.domain.unit_of_work import RequestChanges

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory_svc.domain.stock import Origin
    from inventory_svc.domain.unit_of_work import UnitOfWork

_RULES: dict[type, Callable[[RequestChanges, Any], Any]] = {
    commands.SetStock: set_stock,
    commands.AdjustStock: adjust_stock,
    commands.BatchAdjust: adjust_batch,
    commands.TransferStock: transfer_stock,
    commands.ArchiveStock: archive_stock,
    commands.RestoreStock: restore_stock,
    commands.SetReorderPoint: set_reorder_point,
    commands.ReverseMovement: reverse_movement,
    commands.CreateReservation: create_reservation,
    commands.ExtendReservation: extend_reservation,
    commands.CommitReservation: commit_reservation,
    commands.ReleaseReservation: release_reservation,
    commands.TakeOverCart: take_over_cart,
    commands.ExpireOverdue: expire_all_overdue,
    commands.CreateLocation: create_location,
    commands.ArchiveLocation: archive_location,
}


def update_stock_with_sync(unit_of_work: UnitOfWork, command: commands.Command, origin: Origin) -> Any:
    """Apply a command to the unit of work and return the rule's result; ``PartstreamError`` leaves it unchanged.

    The writer commits the unit of work. The database adds its change log entries to the same commit, which bring every
    cache, page and audit trail up to date.
    """
    changes = RequestChanges(unit_of_work, origin)
    outcome = _RULES[type(command)](changes, require_match(changes, command))
    changes.apply()
    return outcome
