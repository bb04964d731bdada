"""Commands of a process and their exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from chassis.addresses import PortTaken
from chassis.entry_point import INTERRUPTED, exit_code, run_command
from chassis.errors import StoreUnavailable
from chassis.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable


def raising(error: BaseException) -> Callable[[], int]:
    """Return a command that fails."""

    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (SettingsError(["A is not set", "B is wrong"]), 2, "Invalid settings:\nA is not set\nB is wrong\n"),
        (StoreUnavailable("The database is unavailable."), 1, "The database is unavailable.\n"),
        (PortTaken("port 1 is taken"), 1, "port 1 is taken\n"),
        (LookupError("expected here"), 1, "expected here\n"),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
)
def test_an_expected_failure_is_an_exit_code_and_its_message(
    error: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(raising(error), LookupError) == code
    assert capsys.readouterr().err == printed


def test_another_failure_is_raised() -> None:
    with pytest.raises(ValueError, match="a defect"):
        exit_code(raising(ValueError("a defect")))


@pytest.mark.parametrize(
    ("arguments", "code"), [(["serve"], 7), (["--help"], 0), ([], 2), (["other"], 2), (["serve", "twice"], 2)]
)
def test_the_command_line_names_one_command(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m things", *arguments])

    assert run_command("things", {"serve": lambda: 7, "migrate": lambda: 0}) == code

    usage = "" if arguments == ["serve"] else "usage: python -m things serve|migrate\n"
    assert capsys.readouterr().err == usage
