"""The values of the cache, kind by kind: how two states join, how big they are, how they are stored.

Joining is idempotent, commutative and never loses the newer side: a stock joins level by level, a part by its version.
Therefore the order in which fills and log entries arrive cannot make an entry go backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from edge.cache import keys
from partstream.content.v1 import part_pb2, part_service_pb2
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

_OBJECT_BYTES = 400  # of an entry besides its value: dictionary slot, key, entry object


@dataclass(frozen=True, slots=True)
class Absent:
    """No value: there never was one (version 0), or it was deleted at the version."""

    version: int = 0


class Listing(msgspec.Struct, frozen=True):
    """Ids of one page of a listing, without stock, and the token of the next page."""

    part_ids: tuple[str, ...]
    next_page_token: str = ""


Stored = tuple[str, int, bytes]
"""Member name, its version, its bytes (empty = deleted)."""

Members = dict[str, tuple[int, bytes]]
"""The same, by name, as read back."""


class Codec(Protocol):
    """The behaviour of one kind of value."""

    def join(self, held: Any, other: Any) -> Any:
        """Return both joined; ``held`` itself when ``other`` adds nothing."""

    def size(self, value: Any) -> int:
        """Return the approximate bytes in memory."""

    def is_unknown(self, value: Any) -> bool:
        """Return whether the read found nothing and has no version that tells since when."""

    def version(self, value: Any) -> int:
        """Return a number that rises with every change; 0 for kinds and values that have none."""

    def store(self, value: Any, revision: int) -> list[Stored]:
        """Return its members for the shared tier."""

    def restore(self, ident: str, members: Members) -> Any:
        """Return the value of these members."""


def cached_level(level: stock_pb2.StockLevel) -> stock_pb2.StockLevel:
    """Return the level as the cache stores it, whatever its source: without who changed it."""
    held = stock_pb2.StockLevel()
    held.CopyFrom(level)
    held.ClearField("last_updated_by")
    return held


def total(part_id: str, levels: Iterable[stock_pb2.StockLevel]) -> stock_pb2.PartStock:
    """Return the stock of a part from all its levels: sums over active ones, version over all."""
    ordered = sorted(levels, key=lambda level: level.location_id)
    live = [level for level in ordered if not level.HasField("archive_time")]
    available = sum(level.available for level in live)
    return stock_pb2.PartStock(
        part_id=part_id,
        on_hand=sum(level.on_hand for level in live),
        reserved=sum(level.reserved for level in live),
        available=available,
        in_stock=available > 0,
        low_stock=available <= sum(level.reorder_point for level in live),
        version=sum(level.version for level in ordered),
        levels=ordered,
    )


class StockCodec:
    """Stock of a part: a member for each location."""

    def join(self, held: stock_pb2.PartStock, other: stock_pb2.PartStock) -> stock_pb2.PartStock:
        """Join: for each location the level with the higher version."""
        levels = {level.location_id: level for level in held.levels}
        newer = [
            level
            for level in other.levels
            if level.location_id not in levels or levels[level.location_id].version < level.version
        ]
        if not newer:
            return held
        levels.update((level.location_id, level) for level in newer)
        return total(held.part_id, levels.values())

    def size(self, value: stock_pb2.PartStock) -> int:
        """A message takes about three times its wire size."""
        return _OBJECT_BYTES + 3 * value.ByteSize()

    def is_unknown(self, value: stock_pb2.PartStock) -> bool:
        """Return whether it has no level at all."""
        return not value.levels

    def version(self, value: stock_pb2.PartStock) -> int:
        """Return the sum of its levels' versions."""
        return value.version

    def store(self, value: stock_pb2.PartStock, revision: int) -> list[Stored]:  # noqa: ARG002
        """Return its levels, each under its own version."""
        return [(level.location_id, level.version, level.SerializeToString()) for level in value.levels]

    def restore(self, ident: str, members: Members) -> stock_pb2.PartStock:
        """Return the sum of the levels."""
        return total(ident, (stock_pb2.StockLevel.FromString(raw) for _, raw in members.values()))


class PartCodec:
    """Content of a part: one member, or a tombstone."""

    def join(self, held: part_pb2.Part | Absent, other: part_pb2.Part | Absent) -> part_pb2.Part | Absent:
        """Return the higher version; of equal ones the tombstone, because a row is deleted under the version it had."""
        if other.version > held.version or (other.version == held.version > 0 and isinstance(other, Absent)):
            return other
        return held

    def size(self, value: part_pb2.Part | Absent) -> int:
        """A message takes about three times its wire size."""
        return _OBJECT_BYTES + (0 if isinstance(value, Absent) else 3 * value.ByteSize())

    def is_unknown(self, value: part_pb2.Part | Absent) -> bool:
        """Return whether a read did not find the part."""
        return isinstance(value, Absent) and not value.version

    def version(self, value: part_pb2.Part | Absent) -> int:
        """Doubled, so that a tombstone is newer than the row whose version it bears."""
        return 2 * value.version + isinstance(value, Absent) if value.version else 0

    def store(self, value: part_pb2.Part | Absent, revision: int) -> list[Stored]:  # noqa: ARG002
        """Versions are doubled, so that a tombstone is newer than the row whose version it bears."""
        if isinstance(value, Absent):
            return [("", 2 * value.version + 1, b"")] if value.version else []
        return [("", 2 * value.version, value.SerializeToString())]

    def restore(self, ident: str, members: Members) -> part_pb2.Part | Absent:  # noqa: ARG002
        """Return the part, or the tombstone with the version it had."""
        version, raw = members.get("", (0, b""))
        return part_pb2.Part.FromString(raw) if raw else Absent(version // 2)


class ListingCodec:
    """Ids of one page."""

    def join(self, held: Listing, other: Listing) -> Listing:  # noqa: ARG002
        """Return the later read: a listing is replaced, its revision is compared before."""
        return other

    def size(self, value: Listing) -> int:
        """Each id is a string object."""
        return _OBJECT_BYTES + sum(60 + len(part_id) for part_id in value.part_ids)

    def is_unknown(self, value: Listing) -> bool:  # noqa: ARG002
        """An empty listing is a result too."""
        return False

    def version(self, value: Listing) -> int:  # noqa: ARG002
        """A listing has no version: its revision is compared."""
        return 0

    def store(self, value: Listing, revision: int) -> list[Stored]:
        """Store it whole, under the revision it was read at."""
        return [("", revision, msgspec.msgpack.encode(value))]

    def restore(self, ident: str, members: Members) -> Listing:  # noqa: ARG002
        """Return it as stored."""
        return msgspec.msgpack.decode(members[""][1], type=Listing)


class CategoriesCodec:
    """The category tree as ``ListCategories`` returns it."""

    def join(
        self,
        held: part_service_pb2.ListCategoriesResponse,  # noqa: ARG002
        other: part_service_pb2.ListCategoriesResponse,
    ) -> part_service_pb2.ListCategoriesResponse:
        """Return the later read."""
        return other

    def size(self, value: part_service_pb2.ListCategoriesResponse) -> int:
        """A message takes about three times its wire size."""
        return _OBJECT_BYTES + 3 * value.ByteSize()

    def is_unknown(self, value: part_service_pb2.ListCategoriesResponse) -> bool:  # noqa: ARG002
        """An empty tree is a result too."""
        return False

    def version(self, value: part_service_pb2.ListCategoriesResponse) -> int:  # noqa: ARG002
        """The tree has no version: its revision is compared."""
        return 0

    def store(self, value: part_service_pb2.ListCategoriesResponse, revision: int) -> list[Stored]:
        """Store it whole, under the revision it was read at."""
        return [("", revision, value.SerializeToString())]

    def restore(self, ident: str, members: Members) -> part_service_pb2.ListCategoriesResponse:  # noqa: ARG002
        """Return it as stored."""
        return part_service_pb2.ListCategoriesResponse.FromString(members[""][1])


class BodyCodec:
    """A rendered body, with its size beside it."""

    def join(self, held: Any, other: Any) -> Any:  # noqa: ARG002
        """Both are equal: the key contains all that a body depends on."""
        return other

    def size(self, value: Any) -> int:
        """Return the length of the bytes, or the size that the object reports."""
        return _OBJECT_BYTES + (len(value) if isinstance(value, bytes) else int(getattr(value, "size", 1000)))

    def is_unknown(self, value: Any) -> bool:  # noqa: ARG002
        """An empty body is a result too."""
        return False

    def version(self, value: Any) -> int:  # noqa: ARG002
        """A body has no version: the key contains all it depends on."""
        return 0

    def store(self, value: Any, revision: int) -> list[Stored]:  # noqa: ARG002
        """A body is never shared."""
        return []

    def restore(self, ident: str, members: Members) -> Any:  # noqa: ARG002
        """A body is never shared."""
        return None


CODECS: dict[str, Codec] = {
    keys.STOCK.name: StockCodec(),
    keys.PART.name: PartCodec(),
    keys.LISTING.name: ListingCodec(),
    keys.CATEGORIES.name: CategoriesCodec(),
    keys.BODY.name: BodyCodec(),
}
