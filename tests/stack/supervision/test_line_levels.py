"""How serious the lines of each program are."""

import logging

import pytest

from stack.supervision.line_levels import LineLevels, is_routine

OVERCOMMIT = (
    "7079:M 28 Nov 2026 20:48:10.909 # WARNING Memory overcommit must be enabled! Without it, a background save or "
    "replication may fail under low memory condition."
)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("20:48:14.810 INFO    request retention: elected", logging.INFO),
        ("20:48:14.810 WARNING the database cannot be reached", logging.WARNING),
        ("20:48:14.810 ERROR   a fault", logging.ERROR),
        ("LOG:  database system is ready to accept connections", logging.INFO),
        ("FATAL:  the database system is starting up", logging.CRITICAL),
        ("7079:M 28 Nov 2026 20:48:10.909 * Ready to accept connections tcp", logging.INFO),
        ("7079:M 28 Nov 2026 20:48:10.909 # Can't save in background: fork: Cannot allocate memory", logging.WARNING),
        ("Traceback (most recent call last):", None),
        ('  File "x.py", line 1, in <module>', None),
        ("", None),
    ],
)
def test_level_of_a_line(line: str, level: int | None) -> None:
    assert LineLevels().of("it", line) == level


def test_what_postgres_adds_is_as_serious_as_its_line() -> None:
    levels = LineLevels()

    found = [
        levels.of("postgres", "ERROR:  relation does not exist"),
        levels.of("postgres", "STATEMENT:  SELECT 1"),
        levels.of("postgres", "LOG:  checkpoint"),
        levels.of("postgres", "\tgoes on"),
        levels.of("edge-1", "\tof nothing"),
    ]

    assert found == [logging.ERROR, logging.ERROR, logging.INFO, logging.INFO, None]


@pytest.mark.parametrize(
    ("line", "times"),
    [
        (OVERCOMMIT, {"start", "stop", "between"}),
        ("LOG:  starting PostgreSQL 18.4 on x86_64-pc-linux-gnu", {"start"}),
        ("LOG:  database system is ready to accept connections", {"start"}),
        ("7079:C 28 Nov 2026 20:48:10.909 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo", {"start"}),
        ("FATAL:  the database system is starting up", {"start"}),
        ("LOG:  database system is shut down", {"stop"}),
        ("7079:signal-handler (1795898949) Received SIGTERM scheduling shutdown...", {"stop"}),
        ("7079:M 28 Nov 2026 20:49:09.746 # Valkey is now ready to exit, bye bye...", {"stop"}),
        ("LOG:  database system was interrupted; last known up at 2026-11-28 20:48:10 UTC", set()),
        ("7079:M 28 Nov 2026 20:48:10.909 # WARNING: The TCP backlog setting of 511 cannot be enforced", set()),
        ("20:48:14.810 INFO    LOG:  shutting down", set()),
    ],
)
def test_servers_say_some_lines_every_time(line: str, times: set[str]) -> None:
    found = {
        "start": is_routine(line, starting=True, stopping=False),
        "between": is_routine(line, starting=False, stopping=False),
        "stop": is_routine(line, starting=False, stopping=True),
    }

    assert {time for time, is_left_out in found.items() if is_left_out} == times
