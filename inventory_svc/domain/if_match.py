"""``If-Match``: a write goes ahead only when one of the states that its caller accepts is the present one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from inventory_svc.domain import intents
from inventory_svc.domain.stock import none_matches

if TYPE_CHECKING:
    from inventory_svc.domain.book import Draft


def require_match(draft: Draft, intent: intents.Intent) -> intents.Intent:
    """Return the intent with the version that matched as its expected one; raise ``VersionConflict`` when none does.

    A missing level is left to the intent's own rule, which says that there is none, unless the intent would create it.
    """
    match intent:
        case (
            intents.SetStock()
            | intents.AdjustStock()
            | intents.ArchiveStock()
            | intents.RestoreStock()
            | intents.SetReorderPoint()
        ) if intent.if_match is not None:
            level = draft.level(intent.key)
            if level is None and not isinstance(intent, intents.SetStock):
                return intent
            version = 0 if level is None else level.version
            if not any((epoch, version) in intent.if_match for epoch in draft.book.epochs):
                raise none_matches(intent.key, level, draft.book.epochs)
            return intent if intent.expected_version is not None else replace(intent, expected_version=version)
        case _:
            return intent
