"""A package index of three small wheels, made on the spot, and a checkout that locks some of them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from cli.bootstrap import DEVELOPMENT, RUNTIME, Place

if TYPE_CHECKING:
    from pathlib import Path


class TinyIndex:
    """``library`` has two releases and an extra; ``application`` requires ``library[extra]`` of any version."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        self.hashes = {
            "library==1.0": self._wheel("library", "1.0", "Provides-Extra: extra\n"),
            "library==2.0": self._wheel("library", "2.0", "Provides-Extra: extra\n"),
            "application==1.0": self._wheel("application", "1.0", "Requires-Dist: library[extra]>=1\n"),
        }
        for name in ("PIP_NO_INDEX", "UV_NO_INDEX"):
            monkeypatch.setenv(name, "1")
        for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
            monkeypatch.setenv(name, str(folder))
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def checkout(self, root: Path, runtime: list[str], development: list[str] | None = None) -> Place:
        """Return the place of a checkout that locks these packages."""
        root.mkdir(exist_ok=True)
        (root / "pyproject.toml").touch()
        (root / "requirements.txt").write_text(self.lock(runtime))
        (root / "requirements-dev.txt").write_text(self.lock([*runtime, *(development or [])]))
        place = Place(root)
        assert place.locks.keys() == {RUNTIME, DEVELOPMENT}
        return place

    def lock(self, pins: list[str]) -> str:
        """Return the text of a lock file."""
        return "".join(f"{pin} \\\n    --hash=sha256:{self.hashes[pin]}\n" for pin in pins)

    def _wheel(self, name: str, version: str, requires: str) -> str:
        path = self.folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{file},sha256={_digest(text)},{len(text)}\n" for file, text in files.items())
        with zipfile.ZipFile(path, "w") as wheel:
            for file, text in files.items():
                wheel.writestr(file, text)
            wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
