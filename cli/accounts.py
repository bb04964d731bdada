"""``partstream token``: accounts of the running stack, by the edge's own rules.

The edge runs the command in a process of its own, with the settings of the running stack: its database and signing key.
"""

import argparse
import os
import subprocess
import sys

from devstack import stack_state

EDGE_DATABASE = "PARTSTREAM_EDGE_DATABASE_URL"


def token(given: argparse.Namespace) -> int:
    """Print an access token."""
    options = [part for name in ("user", "role") if (value := getattr(given, name)) for part in (f"--{name}", value)]
    return _run_in_edge(given, ["token", *options])


def _run_in_edge(given: argparse.Namespace, arguments: list[str]) -> int:
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    environment = os.environ | state.settings | {EDGE_DATABASE: state.databases["edge"]}
    return subprocess.call([sys.executable, "-m", "edge", *arguments], env=environment)
