"""The two lock files: made from the requirement lists of ``pyproject.toml``, and checked against them.

``requirements.txt`` is what Partstream needs to run, ``requirements-dev.txt`` adds what its tests and checks need. Both
carry hashes and no addresses.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.tree import ROOT

PROJECT = ROOT / "pyproject.toml"
RUNTIME, DEVELOPMENT = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
GROUPS = {RUNTIME: ("runtime",), DEVELOPMENT: ("runtime", "test", "lint", "load", "bench")}
HEAD = "# Made by `partstream gen --locks` from pyproject.toml ({groups}).\n"
OLDEST_PYTHON = "3.11"
# What the README calls supported; every locked package must have a wheel for each.
PLATFORMS = {
    "Linux x86_64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS arm64": "aarch64-apple-darwin",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
QUESTIONS_AT_ONCE = 4
UV = str(Path(sys.executable).parent / "uv")


def write(*, upgrade: bool) -> int:
    """Write both lock files; versions that are locked already stay unless ``upgrade``. Return uv's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        for target, groups in GROUPS.items():
            draft = Path(scratch) / target.name
            if not upgrade:
                shutil.copy(target, draft)  # uv keeps what it finds in the file that it is to write
            command = [UV, "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
            command += ["--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "-o", str(draft)]
            if target is DEVELOPMENT:
                command += ["--constraints", str(RUNTIME)]
            for group in groups:
                command += ["--group", group]
            if code := subprocess.run([*command, str(PROJECT)], cwd=ROOT, check=False).returncode:
                return code
            target.write_text(HEAD.format(groups=", ".join(groups)) + draft.read_text())
    return 0


def problems() -> list[str]:
    """Return a line for each way in which a lock file is not what it should be; needs no network."""
    locks = {file: locked(file) for file in GROUPS}
    found = [f"{file.name}: {line}" for file in GROUPS for line in _addresses(file)]
    for file, groups in GROUPS.items():
        wanted = [requirement for group in groups for requirement in requirements(group)]
        found += [f"{file.name}: {line}" for line in _missing(wanted, locks[file])]
    found += [
        f"{name} is locked as {version} for run time and as {locks[DEVELOPMENT].get(name)} for development"
        for name, version in locks[RUNTIME].items()
        if locks[DEVELOPMENT].get(name) != version
    ]
    return found


def requirements(group: str) -> list[Requirement]:
    """Return the requirement list of a group."""
    groups = tomllib.loads(PROJECT.read_text())["dependency-groups"]
    return [Requirement(text) for text in groups[group]]


def locked(file: Path) -> dict[str, str]:
    """Return the version of each package that a lock file names for this platform."""
    lines = [line.rstrip(" \\") for line in file.read_text().splitlines() if line[:1].isalnum()]
    pins = [Requirement(line) for line in lines]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def without_wheels() -> list[str]:
    """Return a line for each locked package that has no wheel for a supported platform and Python; asks the index."""
    targets = [(platform, triple, python) for platform, triple in PLATFORMS.items() for python in PYTHONS]
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as threads:
        return [line for lines in threads.map(lambda target: _without_wheels(*target), targets) for line in lines]


def _without_wheels(platform: str, triple: str, python: str) -> list[str]:
    options = ["--python-platform", triple, "--python-version", python]
    if _resolves(DEVELOPMENT, options):
        return []
    with tempfile.TemporaryDirectory() as scratch:
        return [
            f"{pin.split()[0]}: no wheel for {platform}, Python {python}"
            for pin in _pins(DEVELOPMENT)
            if not _resolves(_alone(pin, Path(scratch)), options)
        ]


def _resolves(file: Path, options: list[str]) -> bool:
    command = [UV, "pip", "compile", "--quiet", "--no-deps", "--only-binary", ":all:", *options, str(file)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _pins(file: Path) -> Iterator[str]:
    """Yield each package of a lock file with its hashes."""
    lines: list[str] = []
    for line in file.read_text().splitlines():
        if line[:1].isalnum():
            if lines:
                yield "\n".join(lines)
            lines = []
        if not line.startswith("#"):
            lines.append(line)
    yield "\n".join(lines)


def _alone(pin: str, folder: Path) -> Path:
    file = folder / "one.txt"
    file.write_text(pin + "\n")
    return file


def _addresses(file: Path) -> list[str]:
    return [f"an address: {line}" for line in file.read_text().splitlines() if "://" in line or "index-url" in line]


def _missing(wanted: list[Requirement], lock: dict[str, str]) -> list[str]:
    """Return what a lock lacks, for the lists and for what it names; with extras, which `pip check` leaves out."""
    found = []
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "pyproject.toml") for requirement in wanted]
    while waiting:
        requirement, source = waiting.pop()
        name = canonicalize_name(requirement.name)
        version = lock.get(name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{source} requires {requirement}, locked is {version or 'nothing'}")
            continue
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(needed, name) for needed in _requires(name, extra)]
    return found


def _requires(name: str, extra: str) -> Iterator[Requirement]:
    """Yield what an installed package requires, or what one of its extras adds."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None:
            if not extra:
                yield requirement
        elif requirement.marker.evaluate({"extra": extra}):
            requirement.marker = None
            yield requirement
