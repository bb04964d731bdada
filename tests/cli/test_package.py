"""The installed package: a launcher without dependencies, with the code and the lock that it installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cli import tree
from cli.development.locks import UV

PACKAGES = ("chassis", "changelog", "inventory_svc", "content_svc", "edge", "tasks", "stack", "cli")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the files of this checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in _tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / name, source / name)
    subprocess.run([sys.executable, "-c", BUILD, str(target)], cwd=source, check=True, capture_output=True)
    return next(target.glob("*.whl"))


def _tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=tree.ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in names if (tree.ROOT / name).is_file()]


def test_it_has_no_dependencies_and_one_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        metadata, scripts = (_text(content, name) for name in (".dist-info/METADATA", ".dist-info/entry_points.txt"))

    assert "Requires-Dist" not in metadata
    assert f"Version: {tree.version()}\n" in metadata
    assert "partstream = cli.bootstrap:console_script" in scripts


def test_it_holds_all_that_runs_and_the_runtime_lock(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        held = set(content.namelist())
        lock = _text(content, "data/share/partstream/requirements.txt")

    wanted = {name for name in _tracked() if name.endswith((".py", ".sql")) and name.partition("/")[0] in PACKAGES}
    wanted |= {name.removeprefix("gen/") for name in _tracked() if name.startswith("gen/") and name.endswith(".py")}
    wanted.add("stack/sample_catalogue.jsonl")
    assert wanted - held == set()
    assert not [name for name in held if name.startswith(("tests/", "loadtests/"))]
    assert lock == (tree.ROOT / "requirements.txt").read_text()


def test_its_command_runs_before_anything_else_is_installed(wheel: Path, tmp_path: Path) -> None:
    environment = os.environ | {"UV_OFFLINE": "1", "XDG_DATA_HOME": str(tmp_path / "data")}
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, str(tmp_path / "own")], check=True, env=environment)
    install = [
        UV,
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--python",
        str(tmp_path / "own" / "bin" / "python"),
        str(wheel),
    ]
    subprocess.run(install, check=True, env=environment)
    command = str(tmp_path / "own" / "bin" / "partstream")

    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, env=environment)
    refused = subprocess.run([command, "lint"], capture_output=True, text=True, check=False, env=environment)

    assert version.stdout == f"partstream {tree.version()}\n"
    assert (refused.returncode, "needs a checkout" in refused.stderr) == (1, True)
    assert not (tmp_path / "data").exists()


def _text(content: zipfile.ZipFile, ending: str) -> str:
    return content.read(next(name for name in content.namelist() if name.endswith(ending))).decode()
