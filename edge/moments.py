"""Moments in a query: RFC 3339, in UTC when no zone is given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from litestar.params import QueryParameter

from chassis.errors import FieldViolation
from edge.errors import MalformedRequest

# A text until it is parsed here: Litestar's own parsing takes `0.5` for half a second after 1970.
MomentText: TypeAlias = Annotated[
    str | None, QueryParameter(description="a moment, RFC 3339", schema_extra={"format": "date-time"})
]


def moment(name: str, text: str) -> datetime:
    """The moment that a query parameter names; ``MalformedRequest`` when it is none."""
    try:
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        message = "is no moment of RFC 3339, like 2026-01-31T12:00:00Z"
        detail = f"{name} {message}."
        raise MalformedRequest(detail, fields=[FieldViolation(name, message)]) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def optional_moment(name: str, text: str | None) -> datetime | None:
    """The same of a parameter that may be left out."""
    return None if text is None else moment(name, text)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The same as protobuf has it."""
    if moment is None:
        return None
    time = Timestamp()
    time.FromDatetime(moment)
    return time
