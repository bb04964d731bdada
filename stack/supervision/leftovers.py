"""End processes that a killed supervisor left behind. Each is recognised by its pid and its start time together."""

import contextlib
import os
import signal
from pathlib import Path

import psutil

from stack.stack_state import ProcessState, StackState

# Every process of a stack inherits it, with the data folder as its value.
FOLDER_MARK = "PARTSTREAM_STACK_FOLDER"
GRACE_SECONDS = 5.0
# The kernel counts in hundredths of a second since boot; reading the clock twice differs by less than this.
SAME_START_SECONDS = 1.0


def start_time(pid: int) -> float | None:
    """Return when the process started; None when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(process: ProcessState) -> bool:
    """Return whether the process of this record still runs; its pid may belong to another one."""
    return _find(process) is not None


def end(state: StackState, folder: Path) -> list[str]:
    """End the remaining processes of a stack; return their names. The caller must hold the data folder's lock."""
    found = {process.name: handle for process in state.processes if (handle := _find(process)) is not None}
    for name, handle in found.items():
        # PostgreSQL: fast shutdown; it would wait for its clients on SIGTERM.
        with contextlib.suppress(psutil.NoSuchProcess):
            handle.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(list(found.values()), timeout=GRACE_SECONDS)
    for handle in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            handle.kill()
    for process in state.processes:
        _end_group(process, folder)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    return sorted(found)


def _find(process: ProcessState) -> psutil.Process | None:
    if process.pid is None or process.started_at is None:
        return None
    try:
        handle = psutil.Process(process.pid)
        same = abs(handle.create_time() - process.started_at) < SAME_START_SECONDS
        return handle if same and handle.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _end_group(process: ProcessState, folder: Path) -> None:
    """Children of a process that is gone are still in the group it led.

    The number alone proves nothing: after a restart of the machine, or when numbers have come round, it is another
    one's group, and a daemon's whose leader has ended looks just like ours.
    """
    if process.pid is None or process.started_at is None or psutil.pid_exists(process.pid):
        return
    members = [
        pid
        for pid in psutil.pids()
        if _group_of(pid) == process.pid and _started_after(pid, process.started_at) and _is_of_stack(pid, folder)
    ]
    for pid in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_of_stack(pid: int, folder: Path) -> bool:
    try:
        process = psutil.Process(pid)
        # PostgreSQL writes over its environment, and stays in its data folder.
        return process.environ().get(FOLDER_MARK) == str(folder) or Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _started_after(pid: int, earliest: float) -> bool:
    found = start_time(pid)
    return found is not None and found >= earliest - SAME_START_SECONDS
