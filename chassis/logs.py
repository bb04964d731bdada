"""Structured logs: one line per event, as text for people or JSON for machines, with the request id of the call."""

from __future__ import annotations

import json
import logging
import sys
import time

from chassis.caller import current_request

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def configure(process: str, *, format: str = "text", level: str = "INFO") -> None:  # noqa: A002 - the setting's name
    """Send all logs of this process to standard error; ``format`` is ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "grpc", "httpx", "httpcore", "_granian"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    found = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    request_id = current_request().request_id
    if request_id and "request_id" not in found:
        found["request_id"] = request_id
    return found


class TextFormatter(logging.Formatter):
    """``12:00:00.123 INFO  message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace of an exception below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.getMessage()}"
        extras = " ".join(f"{key}={value}" for key, value in _extras(record).items())
        line = f"{line} {extras}" if extras else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, process: str) -> None:
        """Name the process in every line."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; times are RFC 3339 in UTC."""
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)
