"""The data folder belongs to one stack at a time, and only a running one is found."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from cli import tree
from stack import stack_state
from stack.errors import DataFolderBusy, DataFolderUnusable, StackNotRunning
from stack.stack_state import ProcessState, StackState
from stack.supervision import leftovers, status
from stack.supervision.port_plan import PortPlan
from stack.supervision.stack_plan import expected


def test_second_stack_on_a_data_folder_is_refused(tmp_path: Path) -> None:
    with (
        stack_state.hold(tmp_path),
        pytest.raises(DataFolderBusy, match=str(os.getpid())),
        stack_state.hold(tmp_path),
    ):
        pass


def test_state_is_found_while_the_stack_runs_and_not_after(tmp_path: Path) -> None:
    state = StackState(1, [ProcessState("redis", 2, [3], "redis", "redis://")], {"edge": "postgresql://"})

    with stack_state.hold(tmp_path):
        stack_state.write(tmp_path, state)
        assert stack_state.read_running(tmp_path) == state

    with pytest.raises(StackNotRunning):
        stack_state.read_running(tmp_path)


def test_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    stack_state.write(tmp_path, StackState(1))

    assert (tmp_path / stack_state.STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_process_whose_number_was_given_to_another_is_not_ended(tmp_path: Path) -> None:
    started = leftovers.start_time(os.getpid())
    assert started is not None
    another = ProcessState("edge-1", os.getpid(), [], "http", "", started_at=started - 60)

    assert leftovers.end(StackState(1, [another]), tmp_path) == []


def test_a_verb_that_looks_at_the_lock_for_an_instant_stops_no_start(tmp_path: Path) -> None:
    """A program that asked for the status over and over once made a start believe that another stack ran."""
    with (tmp_path / stack_state.LOCK_FILE).open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()

        with stack_state.hold(tmp_path):
            pass


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataFolderUnusable, match="cannot be used"), stack_state.hold(tmp_path / "file"):
        pass


def test_a_state_that_cannot_be_read_is_no_stack_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was out of file descriptors once said that the stack it had just used did not run."""
    with stack_state.hold(tmp_path):
        monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, "too many")))

        with pytest.raises(DataFolderUnusable):
            stack_state.read_running(tmp_path)


def test_only_status_sees_a_stack_that_has_no_databases_yet(tmp_path: Path) -> None:
    with stack_state.hold(tmp_path):
        with pytest.raises(StackNotRunning, match="is starting or stopping"):
            stack_state.read_running(tmp_path)
        stack_state.write(tmp_path, StackState(1))

        assert stack_state.read_running(tmp_path, half_started=True) == StackState(1)
        with pytest.raises(StackNotRunning, match="is starting or stopping"):
            stack_state.read_running(tmp_path)


def test_a_process_takes_the_place_of_what_was_announced() -> None:
    state = StackState(1, [ProcessState("redis", None, [], "log", ""), ProcessState("edge-1", None, [1], "log", "")])

    state.put(ProcessState("redis", 7, [3], "redis", "redis://"))

    assert [(process.name, process.pid) for process in state.processes] == [("redis", 7), ("edge-1", None)]


def test_status_of_a_stack_that_comes_up_names_what_is_not_there_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With PostgreSQL alone up, everything that was named was healthy, and the exit code said so."""
    with stack_state.hold(tmp_path):
        state = StackState(1, expected(["postgres"], PortPlan([1], [2], [3], [4]), tasks=True))
        stack_state.write(tmp_path, state)

        code = status.run(tree.parse(["status", "--json", "--data-dir", str(tmp_path)]))

    assert code == 1
    told = json.loads(capsys.readouterr().out)["processes"]
    assert [process["name"] for process in told] == [
        *("postgres", "inventory-1", "content-1", "edge-1", "worker", "scheduler")
    ]
    assert {process["health"] for process in told} == {"starting"}


def test_status_without_a_stack_is_still_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StackNotRunning):
        status.run(tree.parse(["status", "--json", "--data-dir", str(tmp_path)]))

    assert json.loads(capsys.readouterr().out)["processes"] == []


def test_a_group_with_the_number_of_one_of_ours_is_somebody_elses(tmp_path: Path) -> None:
    """After a restart of the machine, a daemon's group may have the number that a process of ours had."""
    leaderless = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {code!r}]).pid)"
    code = "import signal; signal.pause()"
    ours = {**os.environ, leftovers.FOLDER_MARK: str(tmp_path)}
    members = {}
    for name, environment in (("theirs", dict(os.environ)), ("ours", ours)):
        with subprocess.Popen(
            [sys.executable, "-c", leaderless.format(code=code)],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        ) as leader:
            assert leader.stdout is not None
            child = psutil.Process(int(leader.stdout.readline()))
        members[name] = child
        gone = ProcessState(name, leader.pid, [], "log", "", started_at=child.create_time())

        leftovers.end(StackState(1, [gone]), tmp_path)

    assert psutil.wait_procs([members["ours"]], timeout=10)[0]
    assert members["theirs"].is_running()
    members["theirs"].kill()
