"""The writer of the log never waits for its reader."""

import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from stack.supervision.buffered_output import BufferedOutput

LONG_ENOUGH_SECONDS = 30.0


@dataclass
class Pipe:
    """A pipe whose reader is asleep until ``read_on``."""

    reading: int
    writing: io.TextIOWrapper

    def read_on(self, until: bytes) -> bytes:
        """Read until the text came by."""
        return self.read_while(lambda found: until not in found)

    def read_while(self, wanting: Callable[[bytes], bool]) -> bytes:
        """Read as long as more is wanted."""
        found = b""
        while wanting(found):
            chunk = os.read(self.reading, 65_536)
            assert chunk, found[-200:]
            found += chunk
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    # Closed in this order: a writer that still waits is told that nobody reads.
    with os.fdopen(writing, "w", encoding="utf-8") as end:
        yield Pipe(reading, end)
        os.close(reading)


def output_to(end: io.TextIOWrapper, most: int = 1_000_000) -> BufferedOutput:
    return BufferedOutput(end, lambda lines: f"{lines} left out\n", most_waiting_bytes=most)


def left_out(text: bytes) -> int:
    """How many lines it says are missing. It says so whenever there is room again."""
    return sum(int(count) for count in re.findall(rb"^(\d+) left out\n", text, re.MULTILINE))


def test_a_reader_that_stops_reading_does_not_block_the_writer(pipe: Pipe) -> None:
    """The supervisor once wrote to a full pipe itself: every process stood still, and Ctrl-C was not heard."""
    output = output_to(pipe.writing)

    for number in range(20_000):  # more than any pipe holds
        output.write(f"line {number}\n")

    assert not output.flush(0)
    lines = pipe.read_on(b"line 19999\n").splitlines()
    assert [f"line {number}".encode() for number in range(20_000)] == lines
    assert output.flush(LONG_ENOUGH_SECONDS)


def test_dropped_lines_are_counted(pipe: Pipe) -> None:
    output = output_to(pipe.writing, most=100_000)

    for number in range(20_000):
        output.write(f"line {number}\n")
    text = pipe.read_while(lambda found: found.count(b"line ") + left_out(found) < 20_000)

    assert left_out(text) > 0
    assert text.count(b"line ") + left_out(text) == 20_000
    output.write("and on\n")
    assert b"and on\n" in pipe.read_on(b"and on\n")


def test_a_non_blocking_pipe_gets_every_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing.fileno(), False)
    output = output_to(pipe.writing)

    for number in range(20_000):
        output.write(f"line {number}\n")

    assert pipe.read_on(b"line 19999\n").count(b"\n") == 20_000


def test_a_closed_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as end:
        output = output_to(end)

        output.write("nobody reads this\n")

        assert output.flush(LONG_ENOUGH_SECONDS)
        output.write("nor this\n")


def test_a_character_that_the_encoding_lacks_is_replaced() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii") as end:
        output = output_to(end)

        output.write("edge-1 │ ready\n")

        assert output.flush(LONG_ENOUGH_SECONDS)
    assert os.read(reading, 100) == b"edge-1 ? ready\n"
    os.close(reading)


class FullDisk(io.StringIO):
    """Has no room until somebody makes some."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_are_written_again_after_a_full_disk() -> None:
    disk = FullDisk()
    output = BufferedOutput(disk, lambda lines: f"{lines} left out\n")
    output.write("one\n")
    output.write("two\n")
    assert output.flush(LONG_ENOUGH_SECONDS)

    disk.full = False
    output.write("three\n")

    assert output.flush(LONG_ENOUGH_SECONDS)
    assert disk.getvalue() == "three\n2 left out\n"
