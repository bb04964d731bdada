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
