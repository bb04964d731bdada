"""What a person sees of a start: a list on a terminal, lines elsewhere."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import Iterator

import pytest

from stack.supervision.merged_log import MergedLog
from stack.supervision.start_steps import StartSteps
from tests.stack.pseudo_terminal import Terminal, terminal
from tests.stack.screen import Screen

SECONDS = re.compile(r"\d+\.\d s")
LONG_ENOUGH_SECONDS = 30.0


class BrokenError(Exception):
    """What makes a step fail."""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as opened:
        yield opened


def without_seconds(screen: Screen) -> list[str]:
    """Return the lines with their seconds left out, and the spaces before them."""
    return [re.sub(r" +\d+\.\d s$", "", line) for line in screen.lines if line]


async def written(log: MergedLog, name: str, *lines: str) -> None:
    """Let a process write lines."""
    stream = asyncio.StreamReader()
    stream.feed_data("".join(f"{line}\n" for line in lines).encode())
    stream.feed_eof()
    async for _ in log.copied(name, stream):
        pass


async def test_a_terminal_shows_each_step_on_one_line_that_changes(shown: Terminal) -> None:
    steps = StartSteps(MergedLog(shown.end))

    with steps.step("PostgreSQL"):
        running = without_seconds(shown.until(lambda screen: "PostgreSQL" in screen.lines[0]))
    with steps.step("inventory service"), steps.step("content service"):
        both = without_seconds(shown.until(lambda screen: "content service" in "".join(screen.lines)))
    done = shown.until(lambda screen: "inventory service      ok" in "".join(screen.lines))

    assert running == ["  PostgreSQL             ..."]
    assert both == [
        "  PostgreSQL             ok",
        "  inventory service      ...",
        "  content service        ...",
    ]
    assert without_seconds(done) == [
        "  PostgreSQL             ok",
        "  content service        ok",
        "  inventory service      ok",
    ]
    assert all(SECONDS.search(line) for line in done.lines if line)


async def test_seconds_of_a_running_step_go_on(shown: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.supervision.start_steps.REDRAW_SECONDS", 0.01)
    steps = StartSteps(MergedLog(shown.end))

    with steps.step("PostgreSQL"):
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, shown.until, lambda screen: "0.2 s" in screen.lines[0])

    assert shown.until(lambda screen: " ok " in screen.lines[0]).lines[1:] == [""]


async def test_a_terminal_shows_warnings_above_the_steps_and_nothing_less_serious(shown: Terminal) -> None:
    log = MergedLog(shown.end, coloured=False)
    log.starting = True
    steps = StartSteps(log)

    with steps.step("edge"):
        await written(log, "edge-1", "20:48:14.810 INFO    elected", "20:48:14.811 WARNING no Redis", "a panic")
        await written(log, "postgres", "LOG:  listening", "ERROR:  no table", "STATEMENT:  SELECT")
    log.starting = False
    await written(log, "edge-1", "20:48:15.000 INFO    as ever")

    screen = shown.until(lambda screen: "as ever" in "".join(screen.lines))
    assert without_seconds(screen) == [
        "edge-1      │ 20:48:14.811 WARNING no Redis",
        "edge-1      │ a panic",
        "postgres    │ ERROR:  no table",
        "postgres    │ STATEMENT:  SELECT",
        "  edge                   ok",
        "edge-1      │ 20:48:15.000 INFO    as ever",
    ]


async def test_debug_leaves_nothing_out(shown: Terminal) -> None:
    log = MergedLog(shown.end, coloured=False, verbose=True)
    log.starting = True

    await written(log, "edge-1", "20:48:14.810 DEBUG   looking", "20:48:14.811 INFO    elected")
    await written(log, "postgres", "LOG:  starting PostgreSQL 18.4")

    screen = shown.until(lambda screen: "18.4" in "".join(screen.lines))
    assert [line.partition("│ ")[2] for line in screen.lines if line] == [
        "20:48:14.810 DEBUG   looking",
        "20:48:14.811 INFO    elected",
        "LOG:  starting PostgreSQL 18.4",
    ]


async def test_a_failed_step_is_marked_and_one_that_was_ended_with_it_too(shown: Terminal) -> None:
    steps = StartSteps(MergedLog(shown.end, coloured=False))

    with contextlib.suppress(asyncio.CancelledError), steps.step("edge"):
        with contextlib.suppress(BrokenError), steps.step("worker"):
            raise BrokenError
        raise asyncio.CancelledError

    screen = shown.until(lambda screen: "not finished" in "".join(screen.lines))
    assert without_seconds(screen) == ["  worker                 FAILED", "  edge                   not finished"]


async def test_a_narrow_terminal_gets_shorter_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is broken into two would leave one of them behind with each change."""
    monkeypatch.setenv("TERM", "xterm")
    with terminal(columns=20) as narrow:
        steps = StartSteps(MergedLog(narrow.end))

        with steps.step("sample catalogue"):
            pass

        screen = narrow.until(lambda screen: len(screen.lines) > 1)
    assert [len(line) for line in screen.lines] == [19, 0]


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
async def test_no_control_characters_where_they_are_not_wanted(
    shown: Terminal, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    log = MergedLog(shown.end)

    assert (log.in_place, log.painted("ok", 32)) == (
        (False, "\x1b[32mok\x1b[0m") if variable == "TERM" else (True, "ok")
    )


async def test_elsewhere_each_step_is_a_plain_line() -> None:
    output = io.StringIO()
    log = MergedLog(output)
    log.starting = True
    steps = StartSteps(log)

    with steps.step("PostgreSQL"):
        await written(log, "edge-1", "20:48:14.810 INFO    elected")
    with contextlib.suppress(BrokenError), steps.step("Redis"):
        raise BrokenError
    log.flush(LONG_ENOUGH_SECONDS)

    assert SECONDS.sub("N s", output.getvalue()).splitlines() == [
        "edge-1      │ 20:48:14.810 INFO    elected",
        "partstream  │ PostgreSQL ready in N s",
        "partstream  │ Redis failed after N s",
    ]


async def test_for_machines_each_step_is_an_object(shown: Terminal) -> None:
    log = MergedLog(shown.end, for_machines=True)
    steps = StartSteps(log)

    with steps.step("PostgreSQL"):
        pass
    log.show("two\nlines")

    screen = shown.until(lambda screen: "lines" in "".join(screen.lines))
    messages = [json.loads(line)["message"] for line in screen.lines if line]
    assert SECONDS.sub("N s", messages[0]) == "PostgreSQL ready in N s"
    assert messages[1:] == ["two", "lines"]
