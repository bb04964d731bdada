"""What the running stack tells other verbs: a file in the data folder, and a lock that says the stack is alive.

The lock is the kernel's: it ends with the supervisor, however that ends, so no stale file looks like a running stack.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack.checkout import COMMAND, IS_CHECKOUT, ROOT
from stack.credentials import write_private
from stack.errors import DataFolderBusy, DataFolderUnusable, StackNotRunning

DEFAULT_DATA_FOLDER = ".partstream"
LOCK_FILE = "lock"
STATE_FILE = "state.json"
# A verb that looks whether a stack runs holds the lock for an instant.
LOCK_SECONDS = 1.0


@dataclass(slots=True)
class ProcessState:
    """One process of the stack. ``probe`` names how its health is asked: see ``stack/supervision/probes.py``."""

    name: str
    pid: int | None
    ports: list[int]
    probe: str
    target: str
    started_at: float | None = None  # as the kernel counts it, so that a reused pid does not deceive
    ready: bool = False


@dataclass(slots=True)
class StackState:
    """The whole stack. Holds passwords: the file is for its owner only."""

    supervisor_pid: int
    processes: list[ProcessState] = field(default_factory=list)
    databases: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    complete: bool = False  # everything has been healthy once, and the banner shown

    @property
    def first_edge(self) -> int:
        """The port of the edge that is always there."""
        return next(process.ports[0] for process in self.processes if process.name == "edge-1")

    def put(self, process: ProcessState) -> None:
        """Take the process in, in place of what was said of it before it ran."""
        names = [known.name for known in self.processes]
        if process.name in names:
            self.processes[names.index(process.name)] = process
        else:
            self.processes.append(process)


def data_folder(argument: str | None) -> Path:
    """Return the data folder: the argument, PARTSTREAM_DATA_DIR, or ``.partstream``.

    The last one is in the checkout; for an installed package, in the current folder.
    """
    chosen = argument or os.environ.get("PARTSTREAM_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return (ROOT if IS_CHECKOUT else Path.cwd()) / DEFAULT_DATA_FOLDER


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock the data folder. Raises ``DataFolderBusy`` when another stack holds it, ``DataFolderUnusable`` otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise _unusable(folder, error) from error
    with file:
        if not _lock(file.fileno(), folder):
            file.seek(0)
            message = (
                f"A stack is already running on {folder} (process {file.read().strip() or 'unknown'}). "
                "Stop it with Ctrl-C there, or choose another --data-dir."
            )
            raise DataFolderBusy(message)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def _lock(descriptor: int, folder: Path) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        except OSError as error:
            raise _unusable(folder, error) from error
        else:
            return True


def _unusable(folder: Path, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(f"The data folder {folder} cannot be used: {error}. Choose another one with --data-dir.")


def write(folder: Path, state: StackState) -> None:
    """Replace the state file."""
    write_private(folder / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")


def forget(folder: Path) -> None:
    """Remove the state file: nothing is left to find."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def read_last(folder: Path) -> StackState | None:
    """Return the state that was last written, whether or not its stack still runs."""
    try:
        raw = json.loads((folder / STATE_FILE).read_text())
        processes = [ProcessState(**process) for process in raw.pop("processes")]
        return StackState(**raw, processes=processes)
    except FileNotFoundError:
        return None
    except OSError as error:
        # Not to be taken for a stack that does not run.
        raise _unusable(folder, error) from error
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # of another version, or not ours


def read_running(folder: Path, *, half_started: bool = False) -> StackState:
    """Return the state of the running stack; StackNotRunning when there is none.

    One that has no databases yet counts only if ``half_started`` is asked for.
    """
    if not _is_held(folder):
        message = f"No stack is running on {folder}. Start one with {COMMAND} up, or name it with --data-dir."
        raise StackNotRunning(message)
    state = read_last(folder)
    if state is None or not (state.databases or half_started):
        message = f"The stack on {folder} is starting or stopping. Retry in a few seconds."
        raise StackNotRunning(message)
    return state


def _is_held(folder: Path) -> bool:
    try:
        with (folder / LOCK_FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unusable(folder, error) from error
    return False
