"""The files of this repository that people write."""

from pathlib import Path

from cli.development.documents import PACKAGES, tracked
from stack.checkout import ROOT

PYTHON_PACKAGES = (*PACKAGES, "tests")


def python_files(*packages: str) -> list[Path]:
    """Answer the Python files of the packages, as paths in the repository."""
    return [path for package in packages or PYTHON_PACKAGES for path in tracked(package, ".py")]


def read(path: Path) -> str:
    """Answer the text of a file given by its path in the repository."""
    return (ROOT / path).read_text()
