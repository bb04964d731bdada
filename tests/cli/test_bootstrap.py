"""What happens before there is an environment, and how one is made: from the lock file alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli import bootstrap
from cli.bootstrap import DEVELOPMENT, RUNTIME, Place
from tests.cli.tiny_index import TinyIndex

SCRIPT = Path(__file__).resolve().parents[2] / "partstream"
INSTALLERS = ("pip", "uv")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyIndex:
    """A package index that holds more than a lock names."""
    return TinyIndex(tmp_path / "index", monkeypatch)


@pytest.fixture(params=INSTALLERS)
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both installers; the one that is not asked for is not on PATH."""
    own = str(Path(sys.executable).parent)
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own and not _has_uv(folder)]
    if request.param == "uv":
        folders.insert(0, own)
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    return str(request.param)


def _has_uv(folder: str) -> bool:
    return (Path(folder) / "uv").exists()


def installed(place: Place) -> dict[str, str]:
    """What an environment holds, besides the installer itself."""
    code = "from importlib import metadata; [print(d.name, d.version) for d in metadata.distributions()]"
    printed = subprocess.run([place.python, "-c", code], check=True, capture_output=True, text=True).stdout
    found = dict(line.split() for line in printed.splitlines())
    return {name: version for name, version in found.items() if name not in {"pip", "setuptools"}}


def test_the_locked_release_is_installed_although_a_newer_one_is_published(
    index: TinyIndex, installer: str, tmp_path: Path
) -> None:
    """Pip resolves a pinned requirement with an extra afresh: a new release once broke every installation."""
    place = index.checkout(tmp_path / "checkout", ["library==1.0", "application==1.0"])

    bootstrap.prepare_environment(place, RUNTIME, "partstream up")

    assert installed(place) == {"library": "1.0", "application": "1.0"}
    assert ("with uv" in place.log.read_text() or installer == "pip") or not (place.venv / "bin" / "pip").exists()


def test_a_package_that_the_lock_does_not_name_is_not_installed(
    index: TinyIndex, installer: str, tmp_path: Path
) -> None:
    place = index.checkout(tmp_path / "checkout", ["application==1.0"])

    bootstrap.prepare_environment(place, RUNTIME, "partstream up")

    assert installed(place) == {"application": "1.0"}


def test_development_requirements_are_added_when_they_are_first_needed(
    index: TinyIndex, installer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = index.checkout(tmp_path / "checkout", ["library==1.0"], ["application==1.0"])
    bootstrap.prepare_environment(place, RUNTIME, "partstream up")
    before = installed(place)
    capsys.readouterr()

    bootstrap.prepare_environment(place, DEVELOPMENT, "partstream test")

    assert before == {"library": "1.0"}
    assert installed(place) == {"library": "1.0", "application": "1.0"}
    assert "`partstream test` needs the development requirements" in capsys.readouterr().err
    assert bootstrap.is_prepared(place, RUNTIME)


def test_an_environment_of_another_lock_is_made_again(index: TinyIndex, installer: str, tmp_path: Path) -> None:
    place = index.checkout(tmp_path / "checkout", ["library==1.0", "application==1.0"])
    bootstrap.prepare_environment(place, RUNTIME, "partstream up")
    place = index.checkout(tmp_path / "checkout", ["library==2.0"])

    bootstrap.prepare_environment(place, RUNTIME, "partstream up")

    assert installed(place) == {"library": "2.0"}


def test_another_file_than_the_locked_one_is_refused_in_two_lines(
    index: TinyIndex, installer: str, tmp_path: Path
) -> None:
    index.hashes["library==1.0"] = "0" * 64
    place = index.checkout(tmp_path / "checkout", ["library==1.0"])

    with pytest.raises(SystemExit) as failure:
        bootstrap.prepare_environment(place, RUNTIME, "partstream up")

    reason, advice = str(failure.value).splitlines()
    assert "could not be installed" in reason
    assert advice.startswith("The package index serves other files than the lock names")
    assert advice.endswith(f"Full output: {place.log}")
    assert "library" in place.log.read_text()
    assert not bootstrap.is_prepared(place, RUNTIME)


def test_a_missing_release_is_reported_with_what_to_do(index: TinyIndex, installer: str, tmp_path: Path) -> None:
    place = index.checkout(tmp_path / "checkout", ["library==1.0"])
    (index.folder / "library-1.0-py3-none-any.whl").unlink()

    with pytest.raises(SystemExit, match="another index"):
        bootstrap.prepare_environment(place, RUNTIME, "partstream up")


def test_an_unreachable_index_is_reported_as_that(
    index: TinyIndex, installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    place = index.checkout(tmp_path / "checkout", ["library==1.0"])
    for name, value in {
        "PIP_NO_INDEX": "0",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
        "UV_NO_INDEX": "0",
        "UV_FIND_LINKS": "",
        "UV_HTTP_RETRIES": "0",
        "PIP_INDEX_URL": f"http://127.0.0.1:{free_port}/simple",
        "UV_DEFAULT_INDEX": f"http://127.0.0.1:{free_port}/simple",
    }.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match="Check the network and the package index"):
        bootstrap.prepare_environment(place, RUNTIME, "partstream up")


def test_an_environment_that_was_made_for_something_else_is_not_cleared(index: TinyIndex, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "python").touch()
    place = index.checkout(tmp_path / "checkout", ["library==1.0"])
    place.venv.symlink_to(theirs)

    with pytest.raises(SystemExit, match="is a link"):
        bootstrap.prepare_environment(place, RUNTIME, "partstream up")

    assert (theirs / "python").exists()


def test_a_terminated_start_ends_the_installer(tmp_path: Path) -> None:
    """A pip left behind once went on writing into the environment that the next start was making."""
    shutil.copytree(SCRIPT.parent / "cli", tmp_path / "cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPT, tmp_path / "partstream")
    shutil.copy(SCRIPT.parent / "pyproject.toml", tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    # Stands for uv: reports itself and waits, as it does while it fetches something large.
    uv = programs / "uv"
    uv.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho Collecting $$\nexec sleep 600\n')
    uv.chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, str(tmp_path / "partstream"), "status"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment) as starting:
        assert starting.stderr is not None
        assert "creating .venv" in starting.stderr.readline()
        assert "fetching requirements" in starting.stderr.readline()
        children = psutil.Process(starting.pid).children()

        starting.send_signal(signal.SIGTERM)

        assert starting.wait(30) == 143
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_an_environment_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()

    with pytest.raises(SystemExit, match="cannot be prepared"):
        bootstrap.main(["status"], tmp_path)


def test_an_old_python_is_told_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(SystemExit, match=r"needs Python 3\.11 to 3\.14; this is Python 3\.10"):
        bootstrap.main(["status"])


def test_development_commands_of_an_installed_package_name_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="partstream lint: this command needs a checkout"):
        bootstrap.main(["lint"], tmp_path)
