"""Convert protobuf values to JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value
    from google.protobuf.timestamp_pb2 import Timestamp

Scalar = str | int | float | bool | None

LARGEST_EXACT_INTEGER = 2**53  # up to here a double represents every integer


def rfc3339(time: Timestamp) -> str | None:
    """Format a timestamp as RFC 3339 in UTC; return ``None`` for an absent one."""
    if not time.seconds and not time.nanos:
        return None
    return time.ToJsonString()


def scalars(struct: Struct) -> dict[str, Scalar]:
    """Return a struct of scalars as a dictionary, with whole numbers as integers."""
    return {key: _scalar(value) for key, value in sorted(struct.fields.items())}


def _scalar(value: Value) -> Scalar:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        whole = number.is_integer() and abs(number) <= LARGEST_EXACT_INTEGER
        return int(number) if whole else number
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    return None
