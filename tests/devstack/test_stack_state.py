"""The data folder belongs to one stack at a time, and only a running one is found."""

import os
from pathlib import Path

import pytest

from devstack import leftovers, stack_state
from devstack.errors import DataFolderBusy, StackNotRunning
from devstack.stack_state import ProcessState, StackState


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


def test_process_whose_number_was_given_to_another_is_not_ended() -> None:
    started = leftovers.start_time(os.getpid())
    assert started is not None
    another = ProcessState("edge-1", os.getpid(), [], "http", "", started_at=started - 60)

    assert leftovers.end(StackState(1, [another])) == []
