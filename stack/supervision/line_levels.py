"""How serious a line is, by the way in which the program that wrote it marks its lines."""

import logging
import re

_OURS = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_POSTGRES = re.compile(r"(DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC):  ")
# What PostgreSQL adds to the line before.
_POSTGRES_MORE = re.compile(r"(HINT|DETAIL|CONTEXT|STATEMENT|QUERY|LOCATION|BACKTRACE):  |\t")
# `7079:M 28 Nov 2026 20:48:10.909 # …`
_REDIS = re.compile(r"\d+:[A-Z] .{10,40}? ([.\-*#]) ")

_LEVEL_OF = logging.getLevelNamesMapping() | {
    "LOG": logging.INFO,
    "NOTICE": logging.INFO,
    "PANIC": logging.CRITICAL,
    ".": logging.DEBUG,
    "-": logging.DEBUG,
    "*": logging.INFO,
    "#": logging.WARNING,
}

# What the servers write whenever they start, and when they are asked too early: `up` itself says when they are ready.
_START = re.compile(
    r"LOG:  (starting PostgreSQL|listening on |database system was shut down at|database system is ready to accept)"
    r"|FATAL:  the database system is (starting up|not yet accepting connections)"
    r"|\d+:[A-Z] .*# (oO0OoO0OoO0Oo |Redis version=|Valkey version=|Configuration loaded|Server initialized)"
)
# Routine lines of a stop, which `up` reports itself.
_STOP = re.compile(
    r"LOG:  (received fast shutdown request|aborting any active transactions|shutting down|database system is shut down"
    r'|background worker "logical replication launcher" )'
    r"|\d+:signal-handler .* Received SIG|\d+:[A-Z] .*# (Valkey|Redis) is now ready to exit"
)
# It says that the child which shortens the append-only file may find no memory. The file is written all the same, what
# the server holds is made again from the change logs, and a child that failed is a line of its own.
_NEVER_NEEDED = re.compile(r"\d+:[A-Z] .*# WARNING Memory overcommit must be enabled!")


class LineLevels:
    """Remembers of each process the level of its last line, for what belongs to it."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def of(self, name: str, line: str) -> int | None:
        """Return the level as ``logging`` counts; None for a line that is in no known form."""
        if _POSTGRES_MORE.match(line) and name in self._last:
            return self._last[name]
        marked = _OURS.match(line) or _POSTGRES.match(line) or _REDIS.match(line)
        if marked is None:
            self._last.pop(name, None)
            return None
        level = _LEVEL_OF[marked[1]]
        self._last[name] = level
        return level


def is_routine(line: str, *, starting: bool, stopping: bool) -> bool:
    """Return whether a server's line says nothing that anyone acts on, at a start or a stop of the whole stack."""
    found = _NEVER_NEEDED.match(line) or (starting and _START.match(line)) or (stopping and _STOP.match(line))
    return bool(found)
