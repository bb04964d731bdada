"""Who listens to what: one look-up per event, however many sockets there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.live.session import Session


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

    def put(self, session: Session) -> None:
        """Make the index say what the session listens to now."""
        self.remove(session)
        session.indexed = (session.parts, session.categories)
        for names, index in zip(session.indexed, (self._parts, self._categories), strict=True):
            for name in names:
                index.setdefault(name, set()).add(session)

    def remove(self, session: Session) -> None:
        """The session listens to nothing."""
        for names, index in zip(session.indexed, (self._parts, self._categories), strict=True):
            for name in names:
                sessions = index.get(name)
                if sessions is not None:
                    sessions.discard(session)
                    if not sessions:
                        del index[name]
        session.indexed = (frozenset(), frozenset())


_NOBODY: set[Session] = set()
