"""``gen/``: made from ``protos/`` by buf, and never edited."""

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.tree import ROOT

BUF = str(Path(sys.executable).parent / "buf")
GENERATED = "gen"


def generate(folder: Path = ROOT) -> int:
    """Write ``gen/`` into ``folder``; answer buf's exit code."""
    command = [BUF, "generate", "--output", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="")
    return done.returncode


def differences() -> list[str]:
    """Return the files of ``gen/`` that are missing, too many, or other than what ``protos/`` makes."""
    with tempfile.TemporaryDirectory() as scratch:
        if generate(Path(scratch)) != 0:
            return ["buf generate failed"]
        fresh, kept = _files(Path(scratch) / GENERATED), _files(ROOT / GENERATED)
        same, _, _ = filecmp.cmpfiles(Path(scratch) / GENERATED, ROOT / GENERATED, fresh & kept, shallow=False)
        return sorted((fresh | kept) - set(same))


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py*") if "__pycache__" not in path.parts}
