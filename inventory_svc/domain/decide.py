"""Which rule decides which intent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inventory_svc.domain import intents
from inventory_svc.domain.book import Draft
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory_svc.domain.book import Book
    from inventory_svc.domain.stock import Origin

_RULES: dict[type, Callable[[Draft, Any], Any]] = {
    intents.SetStock: set_stock,
    intents.AdjustStock: adjust_stock,
    intents.BatchAdjust: adjust_batch,
    intents.TransferStock: transfer_stock,
    intents.ArchiveStock: archive_stock,
    intents.RestoreStock: restore_stock,
    intents.SetReorderPoint: set_reorder_point,
    intents.ReverseMovement: reverse_movement,
    intents.CreateReservation: create_reservation,
    intents.ExtendReservation: extend_reservation,
    intents.CommitReservation: commit_reservation,
    intents.ReleaseReservation: release_reservation,
    intents.TakeOverCart: take_over_cart,
    intents.ExpireOverdue: expire_all_overdue,
    intents.CreateLocation: create_location,
    intents.ArchiveLocation: archive_location,
}


def decide(book: Book, intent: intents.Intent, origin: Origin) -> Any:
    """Apply an intent to the book and return what the rule answers; refused = ``PartstreamError``, book untouched."""
    draft = Draft(book, origin)
    outcome = _RULES[type(intent)](draft, require_match(draft, intent))
    draft.post()
    return outcome
