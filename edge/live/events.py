"""Events for clients: made once per change, encoded once per audience, shared by all clients that get them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self

from changelog import cursor as cursors
from changelog.visibility import AUDIENCES, PUBLIC, hidden_fields, is_published
from edge.live.protocol import ContentFrame, Location, StaffStockFrame, StockFrame, encode
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_pb2

if TYPE_CHECKING:
    from partstream.content.v1 import part_change_pb2
    from partstream.inventory.v1 import stock_change_pb2, stock_pb2

Kind = Literal["stock", "content"]

STAFF_FIELDS: Final = hidden_fields(part_pb2.Part.DESCRIPTOR.full_name, AUDIENCES[PUBLIC])

OPERATIONS: Final = {
    origin_pb2.OPERATION_CREATED: "created",
    origin_pb2.OPERATION_UPDATED: "updated",
    origin_pb2.OPERATION_DELETED: "deleted",
}


class Event:
    """A change of a part. ``positions`` are those of both logs just after it."""

    kind: Kind

    __slots__ = ("_cursor", "_frames", "categories", "key", "part_id", "positions")

    def __init__(self, part_id: str, positions: tuple[cursors.Position, ...], categories: frozenset[str]) -> None:
        """``categories`` are those the part is or was in, with their ancestors."""
        self.part_id = part_id
        self.key = (self.kind, part_id)  # an event supersedes those of the same key
        self.positions = positions
        self.categories = categories
        self._cursor = ""
        self._frames: dict[bool, str | None] = {}

    @property
    def cursor(self) -> str:
        """Return the cursor of both logs just after the event."""
        if not self._cursor:
            self._cursor = cursors.encode(*self.positions)
        return self._cursor

    @property
    def version(self) -> int:
        """Return the version of the part's stock or content after the event."""
        raise NotImplementedError

    def frame(self, *, staff: bool) -> str | None:
        """Return the frame for an audience, encoded once; ``None`` when the event is not for it."""
        if staff not in self._frames:
            self._frames[staff] = self._encode(staff=staff)
        return self._frames[staff]

    def at(self, positions: tuple[cursors.Position, ...]) -> Self:
        """Return the same event at other positions, for a client that is ahead of this process in one log."""
        again = copy.copy(self)
        Event.__init__(again, self.part_id, positions, self.categories)
        return again

    def _encode(self, *, staff: bool) -> str | None:
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class PartState:
    """One part. ``stock`` is absent until it is read; events wait for it."""

    part_id: str
    stock: stock_pb2.PartStock | None = None
    category_id: str | None = None  # ``None`` = its content is not known yet
    is_public: bool = False  # as far as its content is known
    content_version: int = 0
    watchers: int = 0
    serial: int = 0  # when the state was created, counted in states
    waiting: list[StockEvent] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Return whether both its stock and its category are known."""
        return self.stock is not None and self.category_id is not None


class StockEvent(Event):
    """The stock of a part changed. ``stock`` is absent until the state of the part is known."""

    kind: Kind = "stock"

    __slots__ = ("change", "state", "stock", "was_public")

    def __init__(
        self,
        change: stock_change_pb2.StockChange,
        state: PartState,
        positions: tuple[cursors.Position, ...],
        stock: stock_pb2.PartStock | None = None,
    ) -> None:
        """Without ``stock``, the state of the part sets it later."""
        super().__init__(change.part_id, positions, frozenset())
        self.change = change
        self.state = state
        self.stock = stock
        self.was_public: bool | None = None  # whether the part was public when it changed; ``None`` = not known then

    @property
    def is_known(self) -> bool:
        """Return whether its stock and its audience are known."""
        return self.stock is not None and self.state.category_id is not None

    @property
    def version(self) -> int:
        """Return the version of the part's stock."""
        return self.stock.version if self.stock is not None else 0

    def _encode(self, *, staff: bool) -> str | None:
        stock = self.stock
        if stock is None:
            return None
        when = self.change.commit_time.ToJsonString()
        if not staff:
            return encode(
                StockFrame(
                    stock.part_id, stock.version, stock.available, stock.in_stock, stock.low_stock, self.cursor, when
                )
            )
        return encode(
            StaffStockFrame(
                part_id=stock.part_id,
                version=stock.version,
                available=stock.available,
                in_stock=stock.in_stock,
                low_stock=stock.low_stock,
                on_hand=stock.on_hand,
                reserved=stock.reserved,
                locations=locations(stock),
                cursor=self.cursor,
                commit_time=when,
            )
        )


class ContentEvent(Event):
    """The content of a part changed. Drafts are for staff only; for the public an unpublished part is a deleted one."""

    kind: Kind = "content"

    __slots__ = ("_version", "changed", "commit_time", "operation", "public_operation")

    def __init__(
        self,
        change: part_change_pb2.PartChange,
        positions: tuple[cursors.Position, ...],
        categories: frozenset[str],
    ) -> None:
        """Read what frames need; the change itself, with both states of the part, is not stored."""
        super().__init__(change.part_id, positions, categories)
        self._version = change.version
        self.changed: frozenset[str] = frozenset(change.changed_fields)
        self.commit_time = change.commit_time.ToJsonString()
        self.operation = OPERATIONS.get(change.operation, "updated")
        before = change.HasField("before") and is_published(change.before)
        after = change.HasField("after") and is_published(change.after)
        if change.HasField("after") and change.after.HasField("delete_time"):
            self.operation = "deleted"
        self.public_operation = _public_operation(before=before, after=after)

    @property
    def version(self) -> int:
        """Return the version of the content."""
        return self._version

    def since(self, earlier: ContentEvent) -> ContentEvent:
        """Return this event for a client that did not get an earlier one: it includes what changed then."""
        merged = copy.copy(self)
        Event.__init__(merged, self.part_id, self.positions, self.categories | earlier.categories)
        merged.changed = self.changed | earlier.changed
        merged.operation = _joined(earlier.operation, self.operation)
        merged.public_operation = _joined(earlier.public_operation, self.public_operation)
        return merged

    def _encode(self, *, staff: bool) -> str | None:
        operation = self.operation if staff else self.public_operation
        if not operation:
            return None
        changed = self.changed if staff else self.changed.difference(STAFF_FIELDS)
        return encode(
            ContentFrame(
                self.part_id,
                self._version,
                sorted(changed),
                operation,
                self.cursor,
                self.commit_time,
            )
        )


def locations(stock: stock_pb2.PartStock) -> list[Location]:
    """Return each active level, for staff."""
    return [
        Location(level.location_id, level.on_hand, level.reserved, level.available, level.version)
        for level in stock.levels
        if not level.HasField("archive_time")
    ]


def _public_operation(*, before: bool, after: bool) -> str:
    if after:
        return "updated" if before else "created"
    return "deleted" if before else ""


def _joined(earlier: str, later: str) -> str:
    """Return what two consecutive operations are together for a client that got neither."""
    if not later:
        return earlier
    return "created" if earlier == "created" and later == "updated" else later
