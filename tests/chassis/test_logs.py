"""The format of log lines, and their suppression."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from chassis import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("tests.logs")


def fault() -> BaseException:
    """Return a raised error with its traceback."""
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / 0
    return raised.value


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    found = logging.getLogger()
    handlers, level = list(found.handlers), found.level
    yield
    found.handlers[:] = handlers
    found.setLevel(level)


def configured(**how: str) -> io.StringIO:
    """Return what a process with this configuration writes to standard error."""
    output = io.StringIO()
    with contextlib.redirect_stderr(output):
        logs.configure("edge", **how)
    return output


def test_a_line_break_in_a_request_cannot_forge_a_log_line() -> None:
    """``GET /parts/x%0a12:00:00 ERROR …`` wrote a line that looked like one of the edge."""
    written = configured()

    log.info("%s %s", "GET", "/parts/x\n12:00:00.000 ERROR the sky falls\x1b[31m\u202e", extra={"user": "a\r\nb"})

    (line,) = written.getvalue().splitlines()
    assert "x\\n12:00:00.000 ERROR the sky falls\\x1b[31m\\u202e user=a\\r\\nb" in line


def test_a_warning_is_one_line_and_an_error_has_its_traceback() -> None:
    """While PostgreSQL was unavailable, every pool wrote thirty lines per attempt."""
    written = configured()
    log.warning("the pool is retried", exc_info=ConnectionRefusedError(111, "Connection refused"))
    (line,) = written.getvalue().splitlines()
    log.error("and this is a fault", exc_info=fault())

    assert "error=ConnectionRefusedError(111, 'Connection refused')" in line
    assert "Traceback" in written.getvalue()


def test_json_lines_have_the_same_content() -> None:
    written = configured(format="json")
    log.warning("unavailable", exc_info=OSError(5, "lost"))
    log.error("fault", exc_info=fault())

    warning, error = (json.loads(line) for line in written.getvalue().splitlines())
    assert warning["error"] == "OSError(5, 'lost')"
    assert "exception" not in warning
    assert "Traceback" in error["exception"]


def test_equal_lines_are_written_once_and_counted_at_the_end() -> None:
    written = configured()

    for attempt in range(100):
        log.warning("%s is unavailable, next attempt in %.1f s: %r", "redis", attempt / 10, OSError(attempt))
    logging.getLogger().handlers[0].close()

    first, last = written.getvalue().splitlines()
    assert "redis is unavailable, next attempt in 0.0 s: OSError(0)" in first
    assert "redis is unavailable, next attempt in 9.9 s: OSError(99) repeated=99" in last


def test_level_debug_writes_every_line() -> None:
    written = configured(level="DEBUG")

    for _ in range(100):
        log.warning("unavailable")

    assert written.getvalue().count("unavailable") == 100


def test_a_filter_applies_to_every_line_of_its_block() -> None:
    written = configured()

    with logs.filtered(logging.Filter("another.logger")):
        log.info("not this")
    log.info("this")

    assert "not this" not in written.getvalue()
    assert "this" in written.getvalue()


def test_a_call_cancelled_before_its_handler_starts_is_no_error() -> None:
    """Each early cancellation, or a stopped replica, caused an ERROR with a traceback."""
    output = configured(format="text")
    calls = logging.getLogger("grpc._cython.cygrpc")

    calls.error("Exception not handled in [/WatchStock]", exc_info=asyncio.CancelledError())
    calls.error("Exception not handled in [/GetStock]", exc_info=fault())

    assert "WatchStock" not in output.getvalue()
    assert "ZeroDivisionError" in output.getvalue()
