"""One readable log of many processes: every line carries the name of the process that wrote it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import TextIO

COLOURS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
NAME_WIDTH = 11  # inventory-1
LONGEST_LINE = 16_384  # a longer one is shown in pieces
OWN_NAME = "partstream"


class MergedLog:
    """Writes whole lines, so that two processes never share one."""

    def __init__(self, output: TextIO | None = None, *, coloured: bool | None = None) -> None:
        self._output = output or sys.stdout
        self._coloured = self._wants_colour() if coloured is None else coloured
        self._colour_of: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Write lines of the supervisor itself."""
        for line in text.splitlines():
            self.write(OWN_NAME, line)

    def write(self, name: str, line: str) -> None:
        """Write one line of the process ``name``."""
        prefix = f"{name:<{NAME_WIDTH}} │ "
        if self._coloured:
            colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        try:
            self._output.write(f"{prefix}{line}\n")
            self._output.flush()
        except (BrokenPipeError, ValueError):
            # Whoever read the log went away; the stack goes on.
            self._output = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the process ends

    async def copied(self, name: str, stream: asyncio.StreamReader) -> AsyncIterator[str]:
        """Write everything the stream brings until it ends, and yield each line written."""
        rest = b""
        while chunk := await stream.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\r")
                self.write(name, line)
                yield line
        if rest:
            self.write(name, rest.decode(errors="replace"))

    def _wants_colour(self) -> bool:
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or self._output.isatty()
