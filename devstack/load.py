"""`./partstream load`: puts the running stack under a browsing load for a while and says how it answered."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from devstack import stack_state

LOCUSTFILE = Path(__file__).resolve().parent.parent / "loadtests" / "locustfile.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("--data-dir", help="data folder of the running stack")
    parser.add_argument("--host", help="address of the edge, instead of the running stack's first one")
    parser.add_argument("--users", type=int, default=20, help="shoppers at a time (default 20)")
    parser.add_argument("--rate", type=float, default=10.0, help="shoppers that come per second (default 10)")
    parser.add_argument("--time", default="30s", help="how long, for example 30s or 5m (default 30s)")
    parser.add_argument("--json", type=Path, help="file for the figures as JSON")
    parser.add_argument("--ui", action="store_true", help="open Locust's own page on a local port instead")


def main(arguments: list[str]) -> int:
    """Answer the exit code of the verb for a command line."""
    parser = argparse.ArgumentParser(prog="./partstream load", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Run Locust; 0 when every request was answered as it should be."""
    host = arguments.host or _first_edge(stack_state.data_folder(arguments.data_dir))
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", host]
    command += ["--users", str(arguments.users), "--spawn-rate", str(arguments.rate)]
    if arguments.ui:
        command += ["--web-host", "127.0.0.1"]
    else:
        command += ["--headless", "--only-summary", "--run-time", arguments.time]
    if arguments.json:
        command += ["--json-file", str(arguments.json.with_suffix(""))]
    # A process of its own, because Locust replaces the sockets of the process that it runs in.
    return subprocess.run(command, check=False).returncode


def _first_edge(folder: Path) -> str:
    state = stack_state.read_running(folder)
    edge = next(process for process in state.processes if process.name == "edge-1")
    return f"http://127.0.0.1:{edge.ports[0]}"
