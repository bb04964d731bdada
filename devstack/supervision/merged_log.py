"""One readable log of many processes: every line carries the name of the process that wrote it.

For machines it is one JSON object a line, whoever wrote it: what PostgreSQL, Redis and we say ourselves too.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TextIO

from devstack.supervision.patient_output import PatientOutput

COLOURS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
NAME_WIDTH = 11  # inventory-1
LONGEST_LINE = 16_384  # a longer one is shown in pieces
OWN_NAME = "partstream"


class MergedLog:
    """Writes whole lines, so that two processes never share one. Never waits for whoever reads them."""

    def __init__(
        self, output: TextIO | None = None, *, coloured: bool | None = None, for_machines: bool = False
    ) -> None:
        stream = output or sys.stdout
        self._for_machines = for_machines
        self._output = PatientOutput(stream, self._left_out)
        self._coloured = _wants_colour(stream) if coloured is None else coloured
        self._colour_of: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Write lines of the supervisor itself."""
        for line in text.splitlines():
            self.write(OWN_NAME, line)

    def write(self, name: str, line: str) -> None:
        """Write one line of the process ``name``."""
        self._output.write(self._formatted(name, line))

    def flush(self, seconds: float) -> None:
        """Wait until every line so far was read, for so long at most."""
        self._output.flush(seconds)

    async def copied(self, name: str, stream: asyncio.StreamReader) -> AsyncIterator[str]:
        """Write everything the stream brings until it ends, and yield each line. Equal lines in a row are counted."""
        last, more = "", 0
        async for line in _lines(stream):
            if line and line == last:
                more += 1
            else:
                self._say_more(name, last, more)
                self.write(name, line)
                last, more = line, 0
            yield line
        self._say_more(name, last, more)

    def _say_more(self, name: str, line: str, more: int) -> None:
        if more:
            self.write(name, f"{line} (and {more} more like it)")

    def _formatted(self, name: str, line: str) -> str:
        if self._for_machines:
            return json.dumps(_entry(name, line), ensure_ascii=False) + "\n"
        prefix = f"{name:<{NAME_WIDTH}} │ "
        if self._coloured:
            colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return f"{prefix}{line}\n"

    def _left_out(self, lines: int) -> str:
        return self._formatted(OWN_NAME, f"{lines} lines are left out here: they came faster than they were read")


def _entry(name: str, line: str) -> dict[str, object]:
    """Answer a line of a process of ours as it is, with the name it has in the stack; any other as its message."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError:
            pass
        else:
            if isinstance(found, dict):
                return {**found, "process": name}
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": now, "level": "info", "process": name, "message": line}


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    rest = b""
    while chunk := await stream.read(65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for raw in lines:
            yield raw.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _wants_colour(output: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or output.isatty()
