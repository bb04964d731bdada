"""`./partstream load`: simulate shoppers who browse the running stack and report the responses."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console.output_file import check_outputs
from cli.tree import ROOT
from stack import stack_state
from stack.checkout import COMMAND
from stack.errors import ServerUnavailable, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"
LOOK_SECONDS = 10.0


class NothingToBrowse(StackError):
    """The catalogue is empty: a load on it would measure nothing."""


def run(arguments: argparse.Namespace) -> int:
    """Run Locust; return 0 when no request failed."""
    host = arguments.host.rstrip("/") if arguments.host else _running_edge(stack_state.data_folder(arguments.data_dir))
    _look_at(host)
    check_outputs((("--json", arguments.json),), input_path=LOCUSTFILE)
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", host]
    command += ["--users", str(arguments.users), "--spawn-rate", str(arguments.rate)]
    if arguments.ui:
        command += ["--web-host", "127.0.0.1"]
    else:
        command += ["--headless", "--only-summary", "--run-time", arguments.time]
    if arguments.json:
        command += ["--figures", str(arguments.json)]
    # A process of its own, because Locust replaces the sockets of the process that it runs in.
    with subprocess.Popen(command) as locust, _left_to_the_child(signal.SIGINT):
        return locust.wait()


def _look_at(host: str) -> None:
    """See that there is a catalogue to browse. Raises ServerUnavailable and NothingToBrowse."""
    url = f"{host}/api/v1/parts?page_size=1"
    try:
        with urllib.request.urlopen(url, timeout=LOOK_SECONDS) as answer:  # noqa: S310 - the user's own address
            parts = json.load(answer)["items"]
    except urllib.error.HTTPError as fault:
        message = f"{url} returned {fault.code} {fault.reason}: is this the address of an edge?"
        raise ServerUnavailable(message) from fault
    except (OSError, ValueError) as fault:
        message = f"{url} did not respond as an edge: {getattr(fault, 'reason', fault)}"
        raise ServerUnavailable(message) from fault
    except (KeyError, TypeError) as fault:
        message = f"{url} did not respond as an edge: is this the address of one?"
        raise ServerUnavailable(message) from fault
    if not parts:
        message = f"The catalogue of {host} is empty: there is nothing to browse. Fill it with: {COMMAND} import FILE"
        raise NothingToBrowse(message)


@contextlib.contextmanager
def _left_to_the_child(number: signal.Signals) -> Iterator[None]:
    """Ctrl-C reaches Locust as well, which then prints its summary; ending first would cut that off."""
    before = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(number, before)


def _running_edge(folder: Path) -> str:
    state = stack_state.read_running(folder)
    return state.settings["PARTSTREAM_EDGE_URLS"].split(",")[0]
