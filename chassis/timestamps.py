"""Parses timestamps in texts and in messages; the results are in UTC, in the years 1 to 9999.

The limits are of the timestamp in UTC: `0001-01-01T00:00:00+01:00` is out of range.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from chassis.errors import FieldInvalid, FieldViolation

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)

NO_TIMESTAMP: Final = "is no timestamp of RFC 3339, like 2026-01-31T12:00:00Z"
OUT_OF_RANGE: Final = "must be a timestamp of the years 1 to 9999 in UTC"
_OUT_OF_RANGE_MESSAGE: Final = "must be a timestamp of the years 1 to 9999, with nanoseconds from 0 to 999,999,999"

_DATE: Final = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,30}))?"
_ZONE: Final = r"(?:[Zz]|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):(?P<zone_minute>[0-9]{2}))?"
_TIMESTAMP: Final = re.compile(rf"{_DATE}[Tt ]{_CLOCK}{_ZONE}")
_DAY: Final = re.compile(_DATE)


class TimestampMalformed(ValueError):
    """The text is no timestamp."""


class TimestampOutOfRange(ValueError):
    """The timestamp is not in the years 1 to 9999."""


def parse_timestamp(text: str, *, day_alone: bool = False) -> datetime:
    """Return the timestamp in a text of RFC 3339, to the microsecond; without a zone it is in UTC.

    Raise ``TimestampMalformed`` or ``TimestampOutOfRange``, whose messages complete a sentence about the value.
    ``day_alone`` permits a date, which means the start of the day.
    """
    match = _TIMESTAMP.fullmatch(text) or (_DAY.fullmatch(text) if day_alone else None)
    if match is None:
        raise TimestampMalformed(NO_TIMESTAMP)
    found = match.groupdict()
    if found["year"] == "0000":
        raise TimestampOutOfRange(OUT_OF_RANGE)
    microsecond = int((found.get("fraction") or "")[:6].ljust(6, "0"))
    try:
        day = datetime(int(found["year"]), int(found["month"]), int(found["day"]), tzinfo=UTC)
        local = day.replace(
            hour=int(found.get("hour") or 0),
            minute=int(found.get("minute") or 0),
            second=int(found.get("second") or 0),
            microsecond=microsecond,
        )
    except ValueError:
        raise TimestampMalformed(NO_TIMESTAMP) from None
    try:
        return local - _offset(found)
    except OverflowError:
        raise TimestampOutOfRange(OUT_OF_RANGE) from None


def _offset(found: dict[str, str]) -> timedelta:
    hours, minutes = int(found.get("zone_hour") or 0), int(found.get("zone_minute") or 0)
    if hours > 23 or minutes > 59:  # RFC 3339, 5.6
        raise TimestampMalformed(NO_TIMESTAMP)
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if found.get("sign") == "-" else offset


def timestamp_of(stamp: Timestamp, path: str) -> datetime:
    """Return a timestamp of a request, to the microsecond; raise ``FieldInvalid`` when it is out of range."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        text = f"{path} {_OUT_OF_RANGE_MESSAGE}"
        raise FieldInvalid(text, fields=(FieldViolation(path, _OUT_OF_RANGE_MESSAGE),)) from None
