"""``partstream token`` and ``users``: accounts of the running stack, by the edge's own rules.

The edge runs the command in a process of its own, with the settings of the running stack: its database and signing key.
"""

import argparse
import os
import subprocess
import sys

from stack import stack_state

EDGE_DATABASE = "PARTSTREAM_EDGE_DATABASE_URL"


def token(given: argparse.Namespace) -> int:
    """Print an access token."""
    options = [part for name in ("user", "role") if (value := getattr(given, name)) for part in (f"--{name}", value)]
    return _run_in_edge(given, ["token", *options])


def create_user(given: argparse.Namespace) -> int:
    """Create an account."""
    roles = [part for role in given.role for part in ("--role", role)]
    return _users(given, "create", given.name, *roles)


def reset_password(given: argparse.Namespace) -> int:
    """Change a password."""
    return _users(given, "reset-password", given.name)


def unlock_user(given: argparse.Namespace) -> int:
    """End a lock-out."""
    return _users(given, "unlock", given.name)


def list_users(given: argparse.Namespace) -> int:
    """Print every account."""
    return _users(given, "list")


def _users(given: argparse.Namespace, action: str, *arguments: str) -> int:
    flags = [f"--{name.replace('_', '-')}" for name in ("password_stdin", "json") if getattr(given, name, False)]
    return _run_in_edge(given, ["users", action, *flags, *arguments])


def _run_in_edge(given: argparse.Namespace, arguments: list[str]) -> int:
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    environment = os.environ | state.settings | {EDGE_DATABASE: state.databases["edge"]}
    return subprocess.call([sys.executable, "-m", "edge", *arguments], env=environment)
