"""What the bootstrap script does before there is an environment to do it in."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import psutil
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "partstream"


@pytest.fixture
def bootstrap() -> ModuleType:
    """The script as a module."""
    spec = spec_from_loader("partstream_bootstrap", SourceFileLoader("partstream_bootstrap", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_environment_of_somebody_else_is_not_cleared(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "python").touch()
    linked = tmp_path / ".venv"
    linked.symlink_to(theirs)
    monkeypatch.setattr(bootstrap, "VENV", linked)

    with pytest.raises(SystemExit, match="is a link"):
        bootstrap.create_venv()

    assert (theirs / "python").exists()


def test_a_start_that_is_told_to_end_takes_pip_with_it(tmp_path: Path) -> None:
    """A pip left behind once went on writing into the environment that the next start was making."""
    shutil.copytree(SCRIPT.parent / "devstack", tmp_path / "devstack", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPT, tmp_path / "partstream")
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Stands for the environment's Python: says what it is and waits, as a pip does that fetches something big.
    python.write_text("#!/bin/sh\necho Collecting $$\nexec sleep 600\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / "partstream-stamp").write_text(f"{tmp_path}\nof other requirements")
    command = [sys.executable, str(tmp_path / "partstream"), "status"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr is not None
        assert "fetching requirements" in starting.stderr.readline()
        pip = psutil.Process(starting.pid).children()[0]

        starting.send_signal(signal.SIGTERM)

        assert starting.wait(30) == 143
    assert psutil.wait_procs([pip], timeout=10)[0]


def test_an_environment_that_cannot_be_made_is_a_sentence(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for name, value in {"ROOT": tmp_path / "file", "STAMP": tmp_path / "none"}.items():
        monkeypatch.setattr(bootstrap, name, value)

    with pytest.raises(SystemExit, match="cannot be prepared"):
        bootstrap.main(["status"])
