"""Timestamps in a query: RFC 3339, in UTC when no zone is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from litestar.params import QueryParameter

from chassis.errors import FieldViolation
from chassis.timestamps import TimestampMalformed, TimestampOutOfRange, parse_timestamp
from edge.http.errors import MalformedRequest, RuleBroken

if TYPE_CHECKING:
    from datetime import datetime

# A text until it is parsed here: Litestar's own parsing takes `0.5` for half a second after 1970.
TimestampText: TypeAlias = Annotated[
    str | None,
    QueryParameter(description="a time, RFC 3339, of the years 1 to 9999 in UTC", schema_extra={"format": "date-time"}),
]


def query_timestamp(name: str, text: str) -> datetime:
    """Return the time that a query parameter names, in UTC.

    Raises ``MalformedRequest`` (400) when it is none, ``RuleBroken`` (422) when it is out of range.
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
    """The same of a parameter that may be left out."""
    return None if text is None else query_timestamp(name, text)


def timestamp(time: datetime | None) -> Timestamp | None:
    """The same as protobuf has it."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message
