"""A process that is there and does not respond is ended and started again; one that is slow to start is not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from chassis.settings import load
from stack.servers.launcher import child_command
from stack.supervision import liveness, probes, supervised_process
from stack.supervision.liveness import Liveness
from stack.supervision.supervised_process import ProcessPlan, SupervisedProcess
from stack.supervision.up_settings import UpSettings
from tests.stack.listening_log import ListeningLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SERVE = (
    "import http.server, sys\n"
    "print('ready', flush=True)\n"
    "class Ok(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(200); self.end_headers()\n"
    "    def log_message(self, *_): pass\n"
    "http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Ok).serve_forever()\n"
)


@pytest.fixture
def log() -> ListeningLog:
    return ListeningLog()


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
async def make(
    log: ListeningLog, ended: list[str], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[float], SupervisedProcess]]:
    monkeypatch.setattr(supervised_process, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(liveness, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(probes, "PROBE_TIMEOUT_SECONDS", 0.2)
    made: list[SupervisedProcess] = []

    def of(seconds: float) -> SupervisedProcess:
        command = child_command([sys.executable, "-c", SERVE, str(free_port)])
        url = f"http://127.0.0.1:{free_port}/"
        watched = Liveness(partial(probes.responds, url), seconds)
        plan = ProcessPlan("it", command, os.environ, "http", url, liveness=watched)
        made.append(SupervisedProcess(plan, log, lambda: None, ended.append))
        made[-1].start()
        return made[-1]

    yield of
    for process in made:
        process.kill()
        await process.stop(5)


async def test_a_stopped_process_is_ended_and_started_again(
    make: Callable[[float], SupervisedProcess], log: ListeningLog, ended: list[str]
) -> None:
    process = make(0.5)
    await process.until_healthy(1)
    first = process.state.pid
    assert first is not None

    os.kill(first, signal.SIGSTOP)

    async with asyncio.timeout(60):
        while process.state.pid in {None, first} or not process.state.ready:  # noqa: ASYNC110 - it is polled itself
            await asyncio.sleep(0.02)
    assert ended == ["it"]
    assert any("has not responded for" in line for _, line in log.lines)


async def test_zero_seconds_leave_a_stopped_process_to_its_debugger(
    make: Callable[[float], SupervisedProcess], ended: list[str]
) -> None:
    process = make(0.0)
    await process.until_healthy(1)
    pid = process.state.pid
    assert pid is not None

    os.kill(pid, signal.SIGSTOP)
    watched = process.plan.liveness
    assert watched is not None
    assert not await asyncio.to_thread(watched.responds)
    os.kill(pid, signal.SIGCONT)

    assert await asyncio.to_thread(watched.responds)
    assert (process.state.pid, ended) == (pid, [])


async def test_what_responds_now_and_then_is_responsive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "INTERVAL_SECONDS", 0.0)
    answers = iter([False, False, True, False, False, True, *([False] * 50)])
    asked: list[bool] = []

    def responds() -> bool:
        asked.append(next(answers))
        return asked[-1]

    await Liveness(responds, 1e-9).until_unresponsive()

    assert asked == [False, False, True, False, False, True, False, False, False]


@pytest.mark.parametrize(("raw", "expected"), [("0", 0.0), ("25", 25.0)])
def test_the_setting_is_seconds_or_zero_for_never(raw: str, expected: float) -> None:
    assert load(UpSettings, {"PARTSTREAM_UNRESPONSIVE_SECONDS": raw}).unresponsive_seconds == expected
