"""What every module that defines metrics does for the process that serves them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.development.documents import PACKAGES
from stack.checkout import ROOT
from tests.architecture.source import python_files, read

DEFINES = re.compile(r"^from prometheus_client import .*\b(Counter|Histogram|Summary)\b", re.MULTILINE)
PROBE = """
import importlib, sys
importlib.import_module(sys.argv[1])
from prometheus_client import Counter, generate_latest
Counter("probe_total", "A counter that has no labels.").inc()
print(generate_latest().decode())
"""


def modules() -> list[str]:
    """Return the modules that define counters or histograms."""
    return [".".join(path.with_suffix("").parts) for path in _files()]


def _files() -> list[Path]:
    return [path for path in python_files(*PACKAGES) if DEFINES.search(read(path))]


@pytest.mark.parametrize("module", modules())
def test_creation_times_are_no_series(module: str) -> None:
    command = [sys.executable, "-c", PROBE, module]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert "probe_total 1.0" in shown
    assert "_created" not in shown
