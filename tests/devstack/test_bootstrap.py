"""What the bootstrap script does before there is an environment to do it in."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

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
