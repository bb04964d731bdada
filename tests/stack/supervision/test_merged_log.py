"""What the merged log makes of what the processes write."""

import asyncio
import io
import json

from stack.supervision.merged_log import LONGEST_LINE, OWN_NAME, MergedLog
from tests.stack.listening_log import ListeningLog


async def copied(log: ListeningLog, *chunks: bytes) -> list[str]:
    """Return the lines that were told of, after they were written."""
    stream = asyncio.StreamReader()
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return [line async for line in log.copied("postgres", stream)]


async def test_equal_lines_in_a_row_are_written_once_and_counted() -> None:
    """A server that recovers refuses every client of the stack with a line, a hundred times a second."""
    log = ListeningLog()

    told = await copied(log, b"starting up\n" * 140, b"\n\nready\r\n", b"bye\nbye")

    assert [line for _, line in log.lines] == [
        "starting up",
        "starting up (and 139 more like it)",
        "",
        "",
        "ready",
        "bye",
        "bye (and 1 more like it)",
    ]
    assert len(told) == 145


async def test_a_line_without_an_end_is_shown_in_pieces() -> None:
    log = ListeningLog()

    await copied(log, b"x" * (LONGEST_LINE + 1), b"end")

    assert "".join(line for _, line in log.lines) == "x" * (LONGEST_LINE + 1) + "end"


def test_for_machines_every_line_is_an_object() -> None:
    """With JSON lines asked for, each once began with the name of its process, and no program could read them."""
    output = io.StringIO()
    log = MergedLog(output, for_machines=True)

    log.write("edge-2", '{"time": "2026-01-01T00:00:00.000Z", "level": "warning", "process": "edge", "message": "m"}')
    log.write("postgres", "LOG:  ready")
    log.write("redis", "{no object")
    log.say("stopping")
    log.flush(30)

    first, *others = [json.loads(line) for line in output.getvalue().splitlines()]
    assert first == {"time": "2026-01-01T00:00:00.000Z", "level": "warning", "process": "edge-2", "message": "m"}
    assert [(other["process"], other["message"]) for other in others] == [
        ("postgres", "LOG:  ready"),
        ("redis", "{no object"),
        (OWN_NAME, "stopping"),
    ]
