"""The command line that starts a child through ``stack/servers/launch.py``."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from stack.servers.system_user import SystemUser

LAUNCH_SCRIPT = Path(__file__).with_name("launch.py")


def child_command(
    program: Sequence[str],
    *,
    death_signal: signal.Signals | None = signal.SIGTERM,
    user: SystemUser | None = None,
) -> list[str]:
    """Return the command that runs ``program`` so that it gets ``death_signal`` when the calling process ends."""
    command = [sys.executable, "-I", "-S", str(LAUNCH_SCRIPT), "--parent", str(os.getpid())]
    if death_signal is not None:
        command += ["--death-signal", str(int(death_signal))]
    if user is not None:
        command += ["--uid", str(user.uid), "--gid", str(user.gid)]
        if user.capability is not None:
            command += ["--capability", str(user.capability)]
    return [*command, "--", *program]
