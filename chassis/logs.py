"""Structured logs: one line per event, as text for people or JSON for machines, with the request id of the call.

A condition that ends by itself is a WARNING, one line without a traceback; one that needs a person is an ERROR.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from typing import TYPE_CHECKING, TextIO

from chassis.caller import current_request
from chassis.log_repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Iterator

# Escaped, so that a path or a name cannot forge a log line or control the reader's terminal: the characters of
# chassis.text_rules, which requests may not have; rows that were stored by SQL may.
_BEYOND_ASCII = (
    *range(0x80, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
    *range(0xFFF9, 0xFFFC),
    *(0xFFFE, 0xFFFF),
)
_VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, *_BEYOND_ASCII)}
_VISIBLE_JSON = {code: f"\\u{code:04x}" for code in (127, *_BEYOND_ASCII)}
# The supervisor waits for the line of this logger; it is written at every log level.
READY = "partstream.ready"
_GRPC_CALLS = "grpc._cython.cygrpc"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def configure(process: str, *, format: str = "text", level: str = "INFO") -> None:  # noqa: A002 - the setting's name
    """Send all logs of this process to standard error; ``format`` is ``text`` or ``json``."""
    handler = CountingHandler() if level.upper() != "DEBUG" else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger(READY).setLevel(logging.INFO)
    for noisy in ("asyncio", "grpc", "httpx", "httpcore", "piccolo", "_granian"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger(_GRPC_CALLS).addFilter(_is_fault_of_call)


def _is_fault_of_call(record: logging.LogRecord) -> bool:
    """Return False for a call that its client cancelled before its handler started: grpc logs that as an error."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def visible(text: str) -> str:
    """Return the text with its control characters and line breaks as escapes."""
    return text.translate(_VISIBLE)


def visible_json(document: str) -> str:
    """Return a JSON document with the same characters as escapes of JSON; those of ASCII have them already."""
    return document.translate(_VISIBLE_JSON)


@contextlib.contextmanager
def filtered(by: logging.Filter) -> Iterator[None]:
    """Apply a filter to every line of this process, of any logger."""
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(by)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(by)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    found = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    request_id = current_request().request_id
    # A held-back line belongs to another call than the one during which it is written.
    if request_id and "request_id" not in found and "repeated" not in found:
        found["request_id"] = request_id
    if record.exc_info and not _is_traced(record):
        found["error"] = repr(record.exc_info[1])
    return found


def _is_traced(record: logging.LogRecord) -> bool:
    return bool(record.exc_info) and record.levelno >= logging.ERROR


class CountingHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error; repeated lines once, with their number."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the records that are due."""
        for admitted in self._repeats.admitted(record):
            super().emit(admitted)

    def close(self) -> None:
        """Write the records that are held back."""
        for record in self._repeats.held():
            super().emit(record)
        super().close()


class TextFormatter(logging.Formatter):
    """``12:00:00.123 INFO  message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, with the traceback of an exception below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.getMessage()}"
        extras = " ".join(f"{key}={value}" for key, value in _extras(record).items())
        line = visible(f"{line} {extras}" if extras else line)
        return f"{line}\n{self.formatException(record.exc_info)}" if _is_traced(record) else line  # type: ignore[arg-type]


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, process: str) -> None:
        """``process`` is in every line."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; timestamps are RFC 3339 in UTC."""
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if _is_traced(record):
            entry["exception"] = self.formatException(record.exc_info)  # type: ignore[arg-type]
        return visible_json(json.dumps(entry, default=str, ensure_ascii=False))
