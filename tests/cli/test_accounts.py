"""``partstream users``: the edge's commands, with the settings of the stack that runs on the data folder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.database import Database
from cli.tree import ROOT
from edge.identity.users import ensure_first_admin
from stack import stack_state
from stack.stack_state import StackState

PASSWORD = "seven orange tractors"


@pytest.fixture
async def folder(tmp_path: Path, edge_dsn: str) -> Path:
    """The data folder of a stack that has an edge's database with an administrator."""
    database = await Database.open(edge_dsn, application_name="test", max_size=1)
    await ensure_first_admin(database, "admin", PASSWORD)
    await database.close()
    state = StackState(os.getpid(), databases={"edge": edge_dsn}, settings={"PARTSTREAM_LOG_LEVEL": "INFO"})
    stack_state.write(tmp_path, state)
    return tmp_path


async def users(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""

    def run() -> subprocess.CompletedProcess[str]:
        with stack_state.hold(folder):
            return subprocess.run(
                [sys.executable, "-m", "cli", "users", *arguments, "--data-dir", str(folder)],
                check=False,
                cwd=ROOT,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
            )

    return await asyncio.to_thread(run)


async def test_an_account_is_created_listed_reset_and_unlocked(folder: Path) -> None:
    """A first password that was lost had no way back."""
    created = await users(folder, "create", "clerk", "--role", "support", "--role", "auditor", "--json")
    reset = await users(folder, "reset-password", "admin", "--password-stdin", stdin="eight green tractors\n")
    unlocked = await users(folder, "unlock", "clerk")
    listed = await users(folder, "list")

    assert (created.returncode, created.stderr) == (0, "")
    assert json.loads(created.stdout)["roles"] == ["support", "auditor"]
    assert reset.stdout == "Changed the password of user admin and ended its sessions.\n"
    assert unlocked.stdout == "Cleared 0 failed attempts of user clerk.\n"
    assert listed.stdout.splitlines() == ["admin  enabled   admin", "clerk  enabled   support, auditor"]


async def test_a_password_may_come_from_standard_input(folder: Path) -> None:
    created = await users(folder, "create", "clerk", "--role", "support", "--password-stdin", stdin=PASSWORD)

    assert created.stdout == "Created user clerk with roles support.\n"


async def test_what_is_wrong_is_one_line_and_a_code(folder: Path) -> None:
    weak = await users(folder, "create", "clerk", "--role", "support", "--password-stdin", stdin="password1234")
    ghost = await users(folder, "unlock", "ghost")

    assert (weak.returncode, weak.stdout) == (1, "")
    assert weak.stderr == "This password is too easy to guess: use several unrelated words.\n"
    assert (ghost.returncode, ghost.stderr) == (1, 'There is no user "ghost".\n')


def test_without_a_stack_there_is_no_account(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "users", "list", "--data-dir", str(tmp_path)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
