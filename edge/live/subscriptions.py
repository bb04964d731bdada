"""Who listens to what: one look-up per event, however many sockets there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.live.session import Session, Subscription


class SubscriptionIndex:
    """Sessions by part and by category."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._parts: dict[str, set[Session]] = {}
        self._categories: dict[str, set[Session]] = {}

    @property
    def has_categories(self) -> bool:
        """Whether anybody listens to a category."""
        return bool(self._categories)

    def of_part(self, part_id: str) -> set[Session]:
        """Who named the part. Do not change the set."""
        return self._parts.get(part_id) or _NOBODY

    def of_categories(self, category_ids: Iterable[str]) -> set[Session]:
        """Who named one of these categories."""
        found: set[Session] = set()
        for category_id in category_ids:
            found |= self._categories.get(category_id, _NOBODY)
        return found

    def of_any_category(self) -> set[Session]:
        """Who named any category at all."""
        return set().union(*self._categories.values())

    def add(self, session: Session, subscription: Subscription) -> None:
        """The session listens to what a subscription names."""
        for names, index in ((subscription.parts, self._parts), (subscription.categories, self._categories)):
            for name in names:
                index.setdefault(name, set()).add(session)

    def remove(self, session: Session, subscription: Subscription) -> None:
        """A subscription of the session has ended: what no other one of it names is no longer listened to."""
        for names, held, index in (
            (subscription.parts, session.parts, self._parts),
            (subscription.categories, session.categories, self._categories),
        ):
            for name in names:
                if name not in held and (sessions := index.get(name)) is not None:
                    sessions.discard(session)
                    if not sessions:
                        del index[name]


_NOBODY: set[Session] = set()
