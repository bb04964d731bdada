"""One readable log of many processes: every line carries the name of the process that wrote it.

As JSON it has one object per line for every source, PostgreSQL, Redis and `up` included.
"""

import asyncio
import json
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from chassis.logs import visible, visible_json
from stack.supervision.buffered_output import BufferedOutput
from stack.supervision.line_levels import LineLevels, is_routine

COLOURS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
NAME_WIDTH = 11  # inventory-1
LONGEST_LINE = 16_384  # a longer one is shown in pieces
OWN_NAME = "partstream"
RECENT_LINES = 20  # of each process, for when it does not start
USUAL_COLUMNS = 80


class MergedLog:
    """Writes whole lines, so that two processes never share one. Never waits for the reader.

    While ``starting`` is set, a terminal gets only what processes write as warnings and errors. What servers write at
    every start and, while ``stopping`` is set, at every stop is left out; ``verbose`` leaves nothing out.
    ``in_place`` is whether lines can be drawn below the log and replaced: on a terminal for people.
    """

    def __init__(
        self,
        output: TextIO | None = None,
        *,
        coloured: bool | None = None,
        for_machines: bool = False,
        verbose: bool = False,
    ) -> None:
        self._stream = output or sys.stdout
        self._for_machines = for_machines
        self._verbose = verbose
        self._output = BufferedOutput(self._stream, self._left_out)
        self._coloured = _wants_colour(self._stream) if coloured is None else coloured
        self._colour_of: dict[str, int] = {}
        self._levels = LineLevels()
        self._recent: dict[str, deque[str]] = {}
        self._drawn: Sequence[str] = ()
        self.starting = self.stopping = False
        self.in_place = not for_machines and self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def columns(self) -> int:
        """Characters that fit a line of the terminal."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or USUAL_COLUMNS
        except (OSError, ValueError):
            return USUAL_COLUMNS

    def say(self, text: str) -> None:
        """Write lines of the supervisor itself."""
        for line in text.splitlines():
            self.write(OWN_NAME, line)

    def write(self, name: str, line: str) -> None:
        """Write one line of the process ``name``."""
        self._put(self._formatted(name, line), self._drawn)

    def show(self, text: str) -> None:
        """Write lines of the supervisor itself; on a terminal without its name."""
        if self.in_place:
            self._put(f"{text}\n", self._drawn)
        else:
            self.say(text)

    def draw(self, lines: Sequence[str], *, above: str = "") -> None:
        """Show these lines below the log in place of those drawn before; ``above`` becomes a line of the log."""
        self._put(above and f"{above}\n", lines)

    def painted(self, text: str, colour: int) -> str:
        """Return the text in a colour, where colours are wanted."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text

    def recent(self, name: str) -> list[str]:
        """Return the last lines that the last run of a process wrote, shown or not."""
        return list(self._recent.get(name, ()))

    def _put(self, text: str, below: Sequence[str]) -> None:
        """Write a text in place of the lines drawn, and lines to draw below it: at once, so that nothing flickers."""
        erase = f"\x1b[{len(self._drawn)}A\r\x1b[J" if self._drawn else ""
        self._drawn = below
        self._output.write(erase + text + "".join(f"{line}\n" for line in below))

    def flush(self, seconds: float) -> None:
        """Wait until every line so far was read, for so long at most."""
        self._output.flush(seconds)

    async def copied(self, name: str, stream: asyncio.StreamReader) -> AsyncIterator[str]:
        """Write everything the stream brings until it ends, and yield each line. Equal lines in a row are counted."""
        recent = self._recent[name] = deque(maxlen=RECENT_LINES)
        last, more, is_shown = "", 0, True
        async for line in _lines(stream):
            recent.append(line)
            if line and line == last:
                more += 1
            else:
                if more and is_shown:
                    self.write(name, f"{last} (and {more} more like it)")
                if is_shown := self._is_shown(name, line):
                    self.write(name, line)
                last, more = line, 0
            yield line
        if more and is_shown:
            self.write(name, f"{last} (and {more} more like it)")

    def _is_shown(self, name: str, line: str) -> bool:
        level = self._levels.of(name, line)
        if self._verbose:
            return True
        if is_routine(line, starting=self.starting, stopping=self.stopping):
            return False
        # A line in no known form is shown: it is a trace, a panic, or a warning of a library.
        return not (self.starting and self.in_place) or level is None or level >= logging.WARNING

    def _formatted(self, name: str, line: str) -> str:
        if self._for_machines:
            return visible_json(json.dumps(_entry(name, line), ensure_ascii=False)) + "\n"
        prefix = f"{name:<{NAME_WIDTH}} │ "
        if self._coloured:
            colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
            prefix = self.painted(prefix, colour)
        # PostgreSQL logs statements as they were sent, with whatever is in their texts.
        return f"{prefix}{visible(line.expandtabs())}\n"

    def _left_out(self, lines: int) -> str:
        return self._formatted(OWN_NAME, f"{lines} lines dropped: the reader of the log is too slow")


def _entry(name: str, line: str) -> dict[str, object]:
    """Return a line of a process of ours as it is, with the name it has in the stack; any other as its message."""
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
