"""The command line: one tree, plain help, and a reason for every wrong call."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli import tree
from edge.routes.application import VERSION
from loadtests.bench import stream
from stack.servers.databases import NAMES


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command of the tree, with those inside it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from commands(inner)


ALL = [pytest.param(parser, id=parser.prog) for parser in commands(tree.build())]
RUNNABLE = [pytest.param(parser, id=parser.prog) for parser in commands(tree.build()) if parser.get_default("function")]


@pytest.mark.parametrize("parser", ALL)
def test_help_is_plain_text_and_names_the_program_one_way(parser: argparse.ArgumentParser) -> None:
    text = parser.format_help()

    assert text.startswith("usage: partstream")
    assert "`" not in text
    assert "./partstream" not in text
    assert all(action.help for action in parser._actions if action.option_strings)


@pytest.mark.parametrize("parser", RUNNABLE)
def test_help_of_a_command_has_an_example(parser: argparse.ArgumentParser) -> None:
    assert "\nExample" in f"\n{parser.epilog}"
    assert parser.prog in (parser.epilog or "")


@pytest.mark.parametrize("parser", ALL)
def test_the_function_of_a_command_exists(parser: argparse.ArgumentParser) -> None:
    function = parser.get_default("function")
    if function is None:
        assert any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
        return

    module, _, name = function.partition(":")

    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["bench", "nosuch"], "invalid choice: 'nosuch'"),
        (["up", "--prot", "1"], "partstream up: error: unrecognized arguments: --prot 1"),
        (["up", "--port", "0"], "'0' is not a port: a number from 1 to 65535"),
        (["up", "--port", "७"], "is not a port"),
        (["up", "--edges", "none"], "'none' is not a whole number above 0"),
        (["replay", "f", "--speed", "fast"], "'fast' is not a number above 0"),
        (["import", "f", "--currency", "eur"], "'eur' is not a currency"),
        (["load", "--time", "soon"], "'soon' is not a duration"),
        (["load", "--time", "0s"], "'0s' is not a duration"),
        (["load", "--time", ""], "'' is not a duration"),
        (["load", "--users", "0"], "'0' is not a whole number above 0"),
        (["load", "--rate", "-1"], "argument --rate"),
        (["import"], "the following arguments are required: file"),
        (["db", "dump", "nosuch", "f"], "invalid choice: 'nosuch'"),
        (["log", "checkpoint"], "the following arguments are required: --service"),
        (["status", "--js"], "unrecognized arguments: --js"),
    ],
)
def test_a_wrong_call_is_refused_with_its_reason(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        tree.parse(arguments)

    assert end.value.code == 2
    assert reason in capsys.readouterr().err


def test_no_command_shows_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        tree.parse([])

    assert end.value.code == 0
    assert "start the whole system on this machine" in capsys.readouterr().out


def test_other_programs_get_their_arguments_in_order() -> None:
    given = tree.parse(["test", "tests/chassis", "-k", "cursor", "-x", "--workers", "3"])

    assert given.extra == ["tests/chassis", "-k", "cursor", "-x"]
    assert given.workers == 3
    assert tree.parse(["psql", "inventory", "-c", "SELECT 1", "--data-dir", "d"]).extra == ["-c", "SELECT 1"]


def test_names_are_those_of_the_code_behind() -> None:
    assert tree.DATABASES == NAMES
    assert set(tree.STREAM_PARTS) == set(stream.PARTS)


@pytest.mark.parametrize("shell", tree.SHELLS)
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = tree.parse(["completion", shell])
    module, _, name = given.function.partition(":")

    assert getattr(importlib.import_module(module), name)(given) == 0

    script = capsys.readouterr().out
    assert "--data-dir" in script
    assert "checkpoint" in script


def test_bash_accepts_the_completion_script() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "cli", "completion", "bash"], check=True, capture_output=True, cwd=tree.ROOT
    ).stdout

    subprocess.run(["bash", "-n"], input=script, check=True)


def test_the_api_document_has_the_version_of_the_project() -> None:
    assert tree.version() == VERSION
