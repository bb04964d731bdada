"""How a line of the log looks, and how often it is written."""

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
    """An error that was raised, with the trace that it has then."""
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
    """Answer what a process that is configured so writes to standard error."""
    output = io.StringIO()
    with contextlib.redirect_stderr(output):
        logs.configure("edge", **how)
    return output


def test_a_line_break_in_what_a_stranger_sent_begins_no_line_of_ours() -> None:
    """``GET /parts/x%0a12:00:00 ERROR …`` once wrote a line that looked like one of the edge's own."""
    written = configured()

    log.info("%s %s", "GET", "/parts/x\n12:00:00.000 ERROR the sky falls\x1b[31m\u202e", extra={"user": "a\r\nb"})

    (line,) = written.getvalue().splitlines()
    assert "x\\n12:00:00.000 ERROR the sky falls\\x1b[31m\\u202e user=a\\r\\nb" in line


def test_a_warning_has_its_error_in_one_line_and_an_error_its_trace() -> None:
    """While PostgreSQL was away, every pool wrote thirty lines with each attempt."""
    written = configured()
    log.warning("the pool is retried", exc_info=ConnectionRefusedError(111, "Connection refused"))
    (line,) = written.getvalue().splitlines()
    log.error("and this is a fault", exc_info=fault())

    assert "error=ConnectionRefusedError(111, 'Connection refused')" in line
    assert "Traceback" in written.getvalue()


def test_json_lines_say_the_same() -> None:
    written = configured(format="json")
    log.warning("away", exc_info=OSError(5, "gone"))
    log.error("fault", exc_info=fault())

    warning, error = (json.loads(line) for line in written.getvalue().splitlines())
    assert warning["error"] == "OSError(5, 'gone')"
    assert "exception" not in warning
    assert "Traceback" in error["exception"]


def test_equal_lines_are_written_once_and_counted_in_the_end() -> None:
    written = configured()

    for attempt in range(100):
        log.warning("%s is away, next attempt in %.1f s: %r", "redis", attempt / 10, OSError(attempt))
    logging.getLogger().handlers[0].close()

    first, last = written.getvalue().splitlines()
    assert "redis is away, next attempt in 0.0 s: OSError(0)" in first
    assert "redis is away, next attempt in 9.9 s: OSError(99) repeated=99" in last


def test_whoever_asks_for_debug_gets_every_line() -> None:
    written = configured(level="DEBUG")

    for _ in range(100):
        log.warning("away")

    assert written.getvalue().count("away") == 100


def test_a_filter_decides_over_every_line_while_it_is_there() -> None:
    written = configured()

    with logs.filtered(logging.Filter("somebody.else")):
        log.info("not this")
    log.info("this")

    assert "not this" not in written.getvalue()
    assert "this" in written.getvalue()


def test_a_call_that_is_cancelled_before_its_handler_begins_is_no_error() -> None:
    """A client that cancels early, or a replica that was stopped meanwhile, made an ERROR with a trace each time."""
    output = configured(format="text")
    calls = logging.getLogger("grpc._cython.cygrpc")

    calls.error("Exception not handled in [/WatchStock]", exc_info=asyncio.CancelledError())
    calls.error("Exception not handled in [/GetStock]", exc_info=fault())

    assert "WatchStock" not in output.getvalue()
    assert "ZeroDivisionError" in output.getvalue()
