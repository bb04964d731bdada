"""``events --from``: where to begin."""

import argparse

import pytest

from chassis.errors import CursorMalformed
from cli.events import first_request


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z", "2026-13-01T00:00:00Z"]
)
def test_a_time_that_is_none_is_one_line(text: str) -> None:
    """It was a traceback: OverflowError."""
    with pytest.raises(CursorMalformed) as caught:
        first_request(_given(text))

    assert "\n" not in caught.value.message
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0001-01-01T00:00:00Z", -62_135_596_800), ("9999-12-31T23:59:59Z", 253_402_300_799), ("1970-01-02", 86_400)],
)
def test_any_other_time_is_where_the_log_begins(text: str, seconds: int) -> None:
    request = first_request(_given(text))

    assert request.HasField("since")
    assert request.since.seconds == seconds


def test_what_is_no_time_is_a_cursor() -> None:
    assert first_request(_given("Agdjb250ZW50")).cursor == "Agdjb250ZW50"


def _given(start: str) -> argparse.Namespace:
    return argparse.Namespace(start=start, entity="", part=[], service="inventory")
