"""Timestamps in texts and messages: any input is a timestamp or one of two errors."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from chassis.timestamps import (
    EARLIEST,
    TimestampMalformed,
    TimestampOutOfRange,
    parse_timestamp,
    timestamp_of,
)

LATEST = datetime.max.replace(tzinfo=UTC)
FIRST, LAST = -62_135_596_800, 253_402_300_799

digits = st.integers(0, 99).map("{:02}".format)
offsets = st.one_of(
    st.sampled_from(["", "Z", "z"]),
    st.tuples(st.sampled_from("+-"), digits, digits).map(lambda parts: f"{parts[0]}{parts[1]}:{parts[2]}"),
)
years = st.one_of(st.integers(0, 9999), st.sampled_from([0, 1, 2, 9998, 9999])).map("{:04}".format)
fractions = st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=40).map(".{}".format))
clocks = st.one_of(
    st.sampled_from(["00:00:00", "23:59:59", "23:59:60", "24:00:00"]), st.tuples(digits, digits, digits).map(":".join)
)
days = st.one_of(st.sampled_from(["01-01", "12-31", "02-29"]), st.tuples(digits, digits).map("-".join))
texts = st.tuples(years, st.just("-"), days, st.sampled_from("Tt _"), clocks, fractions, offsets).map("".join)


@given(text=texts)
@example(text="0001-01-01T00:00:00+01:00")
@example(text="0001-01-01T00:00:00+14:00")
@example(text="9999-12-31T23:59:59-01:00")
@example(text="9999-12-31T23:59:59.9999999Z")
@example(text="0000-01-01T00:00:00Z")
@example(text="\u0661\u0662\u0663\u0664-01-01T00:00:00Z")
def test_any_text_is_a_timestamp_in_utc_or_one_of_two_errors(text: str) -> None:
    try:
        found = parse_timestamp(text)
    except (TimestampMalformed, TimestampOutOfRange):
        return

    assert EARLIEST <= found <= LATEST
    assert found.tzinfo is UTC
    # And it fits into a message.
    message = Timestamp()
    message.FromDatetime(found)
    assert timestamp_of(message, "at") == found


@given(time=st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_a_formatted_timestamp_is_parsed(time: datetime) -> None:
    try:
        expected = time.astimezone(UTC)
    except OverflowError:
        with pytest.raises(TimestampOutOfRange):
            parse_timestamp(time.isoformat())
    else:
        assert parse_timestamp(time.isoformat()) == expected


@given(text=st.text(max_size=40))
def test_other_texts_are_malformed(text: str) -> None:
    with pytest.raises((TimestampMalformed, TimestampOutOfRange)):
        parse_timestamp(f"x{text}", day_alone=True)


def test_a_date_is_the_start_of_its_day_where_permitted() -> None:
    assert parse_timestamp("2026-01-31", day_alone=True) == datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(TimestampMalformed):
        parse_timestamp("2026-01-31")


@given(seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1))
@example(seconds=FIRST, nanos=0)
@example(seconds=FIRST - 1, nanos=0)
@example(seconds=LAST, nanos=999_999_999)
@example(seconds=LAST + 1, nanos=0)
def test_any_message_is_a_timestamp_or_an_invalid_field(seconds: int, nanos: int) -> None:
    known = FIRST <= seconds <= LAST and 0 <= nanos <= 999_999_999
    stamp = Timestamp(seconds=seconds, nanos=nanos)
    if known:
        assert EARLIEST <= timestamp_of(stamp, "since") <= LATEST
    else:
        with pytest.raises(FieldInvalid) as caught:
            timestamp_of(stamp, "since")
        assert caught.value.fields[0].path == "since"
