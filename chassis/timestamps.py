"""Moments in messages: a timestamp may hold more than a calendar has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chassis.errors import FieldInvalid, FieldViolation

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def moment(stamp: Timestamp, path: str) -> datetime:
    """A timestamp of a request to the microsecond; ``FieldInvalid`` of this path when it is no moment there is."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = "must be a moment of the years 1 to 9999, with nanoseconds from 0 to 999,999,999"
        raise FieldInvalid(f"{path} {message}", fields=(FieldViolation(path, message),)) from None
