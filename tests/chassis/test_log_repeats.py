"""Repeated log lines are written once and counted."""

from __future__ import annotations

import itertools
import logging

import pytest

from chassis.log_repeats import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Repeats


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def line(message: str, *arguments: object, level: int = logging.WARNING, name: str = "edge") -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, arguments, None)


def test_lines_about_different_subjects_are_all_written(clock: Clock) -> None:
    repeats = Repeats(clock)
    lines = [
        line("%s is unavailable: %r", name, OSError(number)) for number in range(3) for name in ("redis", "content")
    ]

    written = [record.getMessage() for each in lines for record in repeats.admitted(each)]

    assert written == ["redis is unavailable: OSError(0)", "content is unavailable: OSError(0)"]


def test_a_repeated_line_is_written_with_its_count_after_growing_pauses(clock: Clock) -> None:
    repeats = Repeats(clock)
    written_at: list[tuple[float, int]] = []

    for _ in range(2_000):
        written_at += [
            (clock.now - 100, getattr(record, "repeated", 0)) for record in repeats.admitted(line("unavailable"))
        ]
        clock.now += 0.125

    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(written_at)]
    assert pauses == pytest.approx([5, 10, 20, 40, 60, 60], abs=0.5)
    assert [number for _, number in written_at[:2]] == [0, 39]


def test_the_count_is_written_when_the_repetition_ends(clock: Clock) -> None:
    repeats = Repeats(clock)
    for _ in range(10):
        repeats.admitted(line("unavailable"))

    clock.now += FIRST_PAUSE_SECONDS
    last, other = repeats.admitted(line("something else"))

    assert (last.getMessage(), last.repeated) == ("unavailable", 9)  # type: ignore[attr-defined]
    assert other.getMessage() == "something else"
    assert [record.getMessage() for record in repeats.admitted(line("unavailable"))] == ["unavailable"]


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.ERROR, "edge"),
        (logging.CRITICAL, "edge"),
        (logging.DEBUG, "edge"),
        (logging.INFO, "edge.access"),
        (logging.WARNING, "edge.security"),
        (logging.INFO, "partstream.calls"),
    ],
)
def test_errors_and_calls_are_all_written(clock: Clock, level: int, name: str) -> None:
    repeats = Repeats(clock)

    assert [len(repeats.admitted(line("it", level=level, name=name))) for _ in range(3)] == [1, 1, 1]


def test_any_number_of_kinds_needs_bounded_memory(clock: Clock) -> None:
    repeats = Repeats(clock)

    for number in range(5_000):
        assert repeats.admitted(line(f"another one {number}"))
        clock.now += LONGEST_PAUSE_SECONDS / 5_000

    assert len(repeats._kinds) <= 1_000
