"""A process that forks replicas of the inventory service: their modules are imported once.

A replica starts in 0.1 s instead of 2 s, and is a process like any other: it can be killed.
``python -m tests.chaos.stream.fork_server`` reads one JSON object per line (``environment``, ``log``, ``clock_ahead``)
and responds to each with the pid of a replica. It ends, and its replicas with it, when its standard input does.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

import uvloop

from chassis.settings import load
from inventory_svc.app import serve
from inventory_svc.settings import Settings

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork a replica for each line of standard input."""
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_replica(json.loads(line))
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201 - the protocol


def _become_replica(given: dict[str, Any]) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(given["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.close(0)
        _shift_clock(given["clock_ahead"])
        uvloop.run(serve(load(Settings, given["environment"])))
        code = 0
    except BaseException as error:  # noqa: BLE001 - logged before the replica exits
        print(f"the replica failed: {error!r}", file=sys.stderr)  # noqa: T201
    finally:
        sys.stderr.flush()
        os._exit(code)


def _shift_clock(seconds: float) -> None:
    """Shift the replica's wall clock."""
    real = time.time
    time.time = lambda: real() + seconds


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
