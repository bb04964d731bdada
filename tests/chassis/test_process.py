"""What a process asks of the system when it starts."""

from __future__ import annotations

import resource
import subprocess
import sys

SCRIPT = """
import resource
from chassis.process import allow_open_files
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
allow_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_as_many_files_as_the_system_grants_may_be_open() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert int(done.stdout) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


SERVED = """
import asyncio, os, signal, sys
from chassis.operations import HealthDetails
from chassis.process import serve_until_stopped

class Settings:
    log_format, log_level, otel_exporter = "text", "INFO", "none"
    operations_host, operations_port = "127.0.0.1", None

class App:
    async def health(self): return HealthDetails("ok", {})
    async def stop(self): print("stopped")

async def start():
    if "SLOW" in sys.argv:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
    if "SIGNAL" in sys.argv:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
    return App()

async def listen(): pass

listener = (lambda app: asyncio.create_task(listen())) if "LISTENER" in sys.argv else None
sys.exit(asyncio.run(serve_until_stopped("thing", Settings(), start, listener=listener, address="http://here")))
"""


def served(case: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SERVED, case], capture_output=True, text=True, check=False, timeout=60)


def test_a_signal_stops_a_ready_process() -> None:
    done = served("SIGNAL")

    assert (done.returncode, done.stdout) == (0, "stopped\n")
    assert "thing ready on http://here" in done.stderr
    assert "thing stopping" in done.stderr


def test_a_signal_ends_a_start() -> None:
    done = served("SLOW")

    assert (done.returncode, done.stdout) == (0, "")
    assert "ready" not in done.stderr


def test_a_listener_that_ends_by_itself_ends_the_process() -> None:
    done = served("LISTENER")

    assert (done.returncode, done.stdout) == (1, "stopped\n")
    assert "The listener ended by itself." in done.stderr
