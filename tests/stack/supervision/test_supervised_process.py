"""One supervised process, on real child processes."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import psutil
import pytest

from stack.errors import StartFailed
from stack.servers.launcher import child_command
from stack.servers.redis import Remedy
from stack.supervision import supervised_process
from stack.supervision.merged_log import OWN_NAME
from stack.supervision.supervised_process import ProcessPlan, SupervisedProcess, run_to_end
from tests.stack.listening_log import ListeningLog

READY_THEN_WAIT = "print('ready', flush=True); import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
WITH_CHILD = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
    "print('child', child.pid, flush=True); print('ready', flush=True); import signal; signal.pause()"
)
Make = Callable[[str], SupervisedProcess]


@pytest.fixture
def log() -> ListeningLog:
    return ListeningLog()


@pytest.fixture
async def make(log: ListeningLog, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setattr(supervised_process, "FIRST_BACKOFF_SECONDS", 0.01)
    made: list[SupervisedProcess] = []

    def of(code: str) -> SupervisedProcess:
        command = child_command([sys.executable, "-c", code])
        made.append(SupervisedProcess(ProcessPlan("it", command, os.environ, "log", ""), log, lambda: None))
        made[-1].start()
        return made[-1]

    yield of
    for process in made:
        process.kill()
        await process.stop(5)


async def test_lines_carry_the_name_and_ready_makes_it_healthy(make: Make, log: ListeningLog) -> None:
    process = make(READY_THEN_WAIT)

    await process.until_healthy(1)

    assert ("it", "ready") in log.lines
    assert process.state.ready


async def test_killed_process_is_started_again_and_said_so(make: Make, log: ListeningLog) -> None:
    process = make(READY_THEN_WAIT)
    await process.until_healthy(1)
    first = process.state.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)

    await log.until("it", "ready", count=2)
    assert process.state.pid != first
    assert (OWN_NAME, "it was ended by SIGKILL; starting it again in 0.0 s") in log.lines


async def test_process_that_never_gets_well_is_given_up(make: Make) -> None:
    process = make("raise SystemExit(3)")

    with pytest.raises(StartFailed, match="it ended 3 times"):
        await process.until_healthy(3)


async def test_a_remedy_is_applied_to_a_run_that_was_never_healthy(
    log: ListeningLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised_process, "FIRST_BACKOFF_SECONDS", 0.01)
    seen: list[tuple[int, list[str]]] = []

    def remedy(code: int, lines: Sequence[str]) -> Remedy:
        seen.append((code, list(lines)))
        return Remedy("its files were moved", child_command([sys.executable, "-c", READY_THEN_WAIT]))

    command = child_command([sys.executable, "-c", "print('damaged', flush=True); raise SystemExit(3)"])
    plan = ProcessPlan("it", command, os.environ, "log", "", remedy=remedy)
    process = SupervisedProcess(plan, log, lambda: None)
    process.start()
    try:
        await process.until_healthy(2)

        assert seen == [(3, ["damaged"])]
        assert (OWN_NAME, "its files were moved") in log.lines
        # One that was healthy is run as planned again.
        assert process.state.pid is not None
        os.kill(process.state.pid, signal.SIGKILL)
        await log.until("it", "damaged", count=2)
    finally:
        process.kill()
        await process.stop(5)


async def test_stop_ends_it_in_order(make: Make, log: ListeningLog) -> None:
    process = make(READY_THEN_WAIT)
    await process.until_healthy(1)
    pid = process.state.pid

    await process.stop(5)

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not [line for name, line in log.lines if name == OWN_NAME]


async def test_process_that_does_not_listen_is_ended_by_force(make: Make, log: ListeningLog) -> None:
    process = make(DEAF)
    await process.until_healthy(1)
    pid = process.state.pid

    await process.stop(0.05)

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert any("by force" in line for name, line in log.lines if name == OWN_NAME)


async def test_children_of_a_killed_process_end_too(make: Make, log: ListeningLog) -> None:
    process = make(WITH_CHILD)
    await process.until_healthy(1)
    child = psutil.Process(int(next(line.split()[1] for _, line in log.lines if line.startswith("child"))))
    assert process.state.pid is not None

    os.kill(process.state.pid, signal.SIGKILL)

    await log.until("it", "ready", count=2)
    assert psutil.wait_procs([child], timeout=10)[0]


async def test_program_that_ends_by_itself_gives_its_code(log: ListeningLog) -> None:
    command = child_command([sys.executable, "-c", "print('done'); raise SystemExit(4)"])

    assert await run_to_end("once", command, os.environ, log) == 4
    assert ("once", "done") in log.lines
