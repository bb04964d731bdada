"""Nothing of one machine, and no address of a package server, is in the repository."""

import re
import subprocess

import pytest

from stack.checkout import ROOT

LOCK_AND_CLIENT_FILES = re.compile(r"(requirements.*\.(txt|in)|package-lock\.json|\.npmrc|pip\.conf|.*\.lock)$")
ADDRESS = re.compile(r"https?://|--(extra-)?index-url")
MACHINE_PATH = re.compile(r"(?<![\w.])/(root|work|home/\w+|Users/\w+)/\w")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def _tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def _text(name: str) -> str:
    try:
        return (ROOT / name).read_text()
    except (UnicodeDecodeError, FileNotFoundError):
        return ""


def test_lock_files_name_no_server() -> None:
    lines = [
        f"{name}: {line}"
        for name in _tracked()
        if LOCK_AND_CLIENT_FILES.search(name)
        for line in _text(name).splitlines()
        if ADDRESS.search(line)
    ]

    assert not lines


@pytest.mark.parametrize("pattern", [MACHINE_PATH, SECRET], ids=["path of a machine", "private key"])
def test_tracked_files_hold_no(pattern: re.Pattern[str]) -> None:
    own = "tests/architecture/test_clean_tree.py"

    assert not [name for name in _tracked() if name != own and pattern.search(_text(name))]
