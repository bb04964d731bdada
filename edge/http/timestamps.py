"""Parse timestamps of a query: RFC 3339, in UTC when no zone is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from litestar.params import QueryParameter

from chassis.errors import FieldViolation
from chassis.timestamps import TimestampMalformed, TimestampOutOfRange, parse_timestamp
from edge.http.errors import MalformedRequest, RuleBroken

if TYPE_CHECKING:
    from datetime import datetime

# A text, because Litestar's own parsing accepts `0.5` as half a second after 1970.
TimestampText: TypeAlias = Annotated[
    str | None,
    QueryParameter(description="a time, RFC 3339, of the years 1 to 9999 in UTC", schema_extra={"format": "date-time"}),
]


def query_timestamp(name: str, text: str) -> datetime:
    """Parse the value of a query parameter; return it in UTC.

    Raise ``MalformedRequest`` (400) for an invalid timestamp, ``RuleBroken`` (422) for one out of range.
    """
    try:
        return parse_timestamp(text)
    except TimestampMalformed as error:
        detail = f"{name} {error}."
        raise MalformedRequest(detail, fields=[FieldViolation(name, str(error))]) from None
    except TimestampOutOfRange as error:
        detail = f"{name} {error}."
        raise RuleBroken(detail, fields=[FieldViolation(name, str(error))]) from None


def optional_query_timestamp(name: str, text: str | None) -> datetime | None:
    """Parse the value of an optional query parameter."""
    return None if text is None else query_timestamp(name, text)


def timestamp(time: datetime | None) -> Timestamp | None:
    """Return the protobuf timestamp of a time."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message
