"""Output to a reader that may be slow, stop or disconnect: writers never wait.

A supervisor that wrote to a full pipe itself would stand still, its children's pipes would fill, and the whole stack
would stop because of Ctrl-S in a terminal, or a program that reads the output only until the stack is ready.
"""

import contextlib
import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

# Some 40,000 lines: several seconds of a busy stack.
MOST_WAITING_BYTES = 4 * 1024 * 1024
# A closed pipe, a terminal that was hung up.
CLOSED_ERRNOS = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET})


class BufferedOutput:
    """Writes in its own thread. Lines beyond the buffer are dropped; ``left_out(n)`` is written in their place."""

    def __init__(
        self, output: TextIO, left_out: Callable[[int], str], *, most_waiting_bytes: int = MOST_WAITING_BYTES
    ) -> None:
        self._write = _writer_to(output)
        # A terminal that lacks a character shows another one in its place.
        self._encoding = output.encoding or "utf-8"
        self._left_out = left_out
        self._most = most_waiting_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Queue a text; returns immediately."""
        raw = text.encode(self._encoding, errors="replace")
        with self._changed:
            if self._closed:
                return
            if self._waiting_bytes + len(raw) > self._most:
                self._dropped += 1
                return
            self._queue(raw)
            if self._thread is None:
                # A daemon: a thread blocked by its reader must not keep the process alive.
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is written or the reader has disconnected; return whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or not self._waiting_bytes, seconds)

    def _queue(self, raw: bytes) -> None:
        self._waiting.append(raw)
        self._waiting_bytes += len(raw)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                batch = b"".join(self._waiting)
                self._waiting.clear()
            try:
                self._write(batch)
                lost = 0
            except (OSError, ValueError) as error:
                if not isinstance(error, OSError) or error.errno in CLOSED_ERRNOS:
                    with self._changed:
                        self._closed = True
                        self._changed.notify_all()
                    return
                lost = batch.count(b"\n")  # a full disk: later lines may succeed
            with self._changed:
                self._waiting_bytes -= len(batch)
                self._dropped += lost
                if self._dropped and not lost:
                    self._queue(self._left_out(self._dropped).encode(self._encoding, errors="replace"))
                    self._dropped = 0
                self._changed.notify_all()


def _writer_to(output: TextIO) -> Callable[[bytes], None]:
    """Return what writes bytes: to the file itself if there is one, so that no lock is held while its reader sleeps."""
    with contextlib.suppress(OSError, ValueError):
        output.flush()
    try:
        descriptor = output.fileno()
    except (OSError, ValueError):
        return lambda raw: _write_text(output, raw)
    return lambda raw: _write_all(descriptor, raw)


def _write_text(output: TextIO, raw: bytes) -> None:
    output.write(raw.decode(output.encoding or "utf-8"))
    output.flush()


def _write_all(descriptor: int, raw: bytes) -> None:
    rest = memoryview(raw)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # The parent process made the pipe non-blocking.
            select.select([], [descriptor], [])
