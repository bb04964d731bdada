"""What keys of the shared tier may hold: their Redis types, and content that the scripts can work with."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from edge.cache.values import Absent
from partstream.content.v1 import part_pb2
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEMBER: Final = re.compile(rb"\d+ ")


def redis_type(name: str) -> str:
    """Return the type of a key of the shared tier; see ``scripts``."""
    if "}" not in name:
        return "string"  # the head, which is of no epoch
    return "zset" if name.endswith("}:touched") else "hash"


def is_sound_state(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the scripts can compare with the state of a log."""
    # The floor may come from a score, which Redis writes as a float.
    return _is_revision(fields.get(b"at")) and _is_number(fields.get(b"floor", b"0")) and bool(fields.get(b"gen"))


def is_sound_entry(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the scripts can compare with an entry and its members."""
    members = [stored for field, stored in fields.items() if field.startswith(b"m:")]
    return _is_revision(fields.get(b"r")) and b"g" in fields and all(_MEMBER.match(stored) for stored in members)


def names_itself(ident: str, value: Any) -> bool:
    """Return whether a decoded value is of the entry it was found in; bytes of another kind may decode as well."""
    if isinstance(value, part_pb2.Part):
        return value.part_id == ident
    if isinstance(value, stock_pb2.PartStock):
        return bool(value.levels) and all(level.part_id == ident for level in value.levels)
    return isinstance(value, Absent) or value is not None


def _is_revision(text: bytes | None) -> bool:
    return text is not None and text.isdigit()


def _is_number(text: bytes) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
