"""A pseudo-terminal: one end for a program to write to, one to see what it shows."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tests.stack.screen import Screen

COLUMNS = 100


class Terminal:
    """``end`` is for the program; ``until`` reads what it wrote."""

    def __init__(self, reading: int, end: TextIO) -> None:
        self.end = end
        self.screen = Screen()
        self._reading = reading

    def until(self, is_enough: Callable[[Screen], bool]) -> Screen:
        """Return the screen once it shows enough."""
        while not is_enough(self.screen):
            try:
                chunk = os.read(self._reading, 65_536)
            except OSError as error:  # every writer is gone
                raise AssertionError("\n".join(self.screen.lines)) from error
            self.screen.feed(chunk.decode())
        return self.screen


@contextmanager
def terminal(columns: int = COLUMNS) -> Iterator[Terminal]:
    """Open one for the block."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with os.fdopen(writing, "w", encoding="utf-8") as end:
        try:
            yield Terminal(reading, end)
        finally:
            os.close(reading)
