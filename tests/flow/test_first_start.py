"""The first impression: what `up` writes on a new data folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stack.servers.launcher import child_command
from stack.servers.ports import free_port
from tests.flow.running_stack import ROOT, STOP_SECONDS
from tests.stack.pseudo_terminal import terminal

STEPS = [
    *("PostgreSQL", "Redis", "databases", "inventory service", "content service"),
    *("edge", "worker", "scheduler", "sample catalogue"),
]
NEWS = re.compile(r"[\w-]+ +│ \d\d:\d\d:\d\d\.\d{3} ")
READY = "Partstream is ready"
# Whatever else this machine has to do, a start ends; the time limit of the test is longer.
WAIT_SECONDS = 120.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that is not there yet."""
    parent = Path(tempfile.mkdtemp(prefix="partstream-flow-"))
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def running(folder: Path, port: int, *arguments: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run `up` for the block, and end it in order."""
    settings = options.pop("settings", {})
    assert isinstance(settings, Mapping)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARTSTREAM_")},
        "PARTSTREAM_INVENTORY_PORT": str(free_port()),
        "PARTSTREAM_CONTENT_PORT": str(free_port()),
        "PARTSTREAM_IDENTITY_PORT": str(free_port()),
        **settings,
    }
    command = child_command(
        [sys.executable, "-m", "cli", "up", "--data-dir", str(folder), "--port", str(port), *arguments]
    )
    started: subprocess.Popen[str] = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )
    with started as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read lines until one holds the text."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.removesuffix("\n"))
        if text in line:
            return lines
    raise AssertionError("\n".join(lines))


def test_a_pipe_gets_a_plain_line_for_each_step_and_a_password_to_copy(folder: Path) -> None:
    port = free_port()
    with running(folder, port, stdout=subprocess.PIPE) as process:
        lines = lines_until(process, "Ctrl-C")
        password = next(line.split()[-1] for line in lines if "admin password" in line)
        credentials = {"username": "admin", "password": password}
        signed_in = httpx.post(f"http://127.0.0.1:{port}/api/v1/auth/login", json=credentials)

    own = [line.partition("│ ")[2] for line in lines if line.startswith("partstream")]
    done = [found[1] for line in own if (found := re.fullmatch(r"(.+) ready in \d+\.\d s", line))]
    assert sorted(done) == sorted(STEPS)
    assert done[:3] == STEPS[:3]
    assert all(line.isprintable() for line in lines)
    # Beside the steps and the banner there is what our own processes report, and no line of a framework or a server.
    others = [line for line in lines if not line.startswith("partstream") and not NEWS.match(line)]
    assert others == []
    assert signed_in.status_code == 200


def test_a_terminal_gets_a_list_of_steps_and_then_the_log(folder: Path) -> None:
    settings = {"TERM": "xterm"}
    with terminal() as shown, running(folder, free_port(), "--empty", stdout=shown.end, settings=settings):
        screen = shown.until(lambda screen: any("Ctrl-C" in line for line in screen.lines))

    end = next(at for at, line in enumerate(screen.lines) if READY in line)
    steps = [found[1] for line in screen.lines[:end] if (found := re.fullmatch(r"  (.+?) +ok +\d+\.\d s", line))]
    assert sorted(steps) == sorted(STEPS[:-1])
    assert not [line for line in screen.lines[:end] if " INFO " in line or "LOG:" in line]


def test_for_machines_every_line_is_an_object(folder: Path) -> None:
    settings = {"PARTSTREAM_LOG_FORMAT": "json"}
    with running(folder, free_port(), "--empty", stdout=subprocess.PIPE, settings=settings) as process:
        lines = lines_until(process, "Ctrl-C")

    messages = [json.loads(line)["message"] for line in lines]
    assert any(message.startswith("PostgreSQL ready in ") for message in messages)


def test_a_start_that_fails_shows_the_step_and_the_reason_of_the_process(folder: Path) -> None:
    """Every error of processes that start side by side once ended in a traceback of the supervisor."""
    nowhere = f"postgresql://audit:x@127.0.0.1:{free_port()}/audit"
    settings = {"PARTSTREAM_AUDIT_DATABASE_URL": nowhere}
    with running(folder, free_port(), stdout=subprocess.PIPE, settings=settings) as process:
        output, _ = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 1
    assert "Traceback" not in output
    assert re.search(r"^partstream  │ databases failed after \d+\.\d s$", output, re.MULTILINE)
    assert "partstream  │ cannot start: audit: the database cannot be reached: " in output
    assert output.rstrip().endswith("partstream  │ stopped")
