"""``partstream lint``: everything that is checked without running the system; every check runs, whatever fails."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli.development import documents, generated_code, locks, wording
from cli.development.generated_code import BUF
from cli.tree import ROOT

BIN = Path(sys.executable).parent
PACKAGES = (*documents.PACKAGES, "tests")
MAIN_BRANCHES = ("origin/main", "main")


def run(given: argparse.Namespace) -> int:
    """Return 0 when every check passes."""
    packages = [package for package in PACKAGES if (ROOT / package).is_dir()]
    checks: dict[str, Callable[[], bool]] = {
        "ruff check": lambda: _passes(str(BIN / "ruff"), "check", ".", "partstream"),
        "ruff format": lambda: _passes(str(BIN / "ruff"), "format", "--check", ".", "partstream"),
        "mypy": lambda: _passes(sys.executable, "-m", "mypy", *packages),
        "sql": lambda: _passes(str(BIN / "sqruff"), "lint", "--parsing-errors", *packages),
        "import rules": lambda: _passes(str(BIN / "lint-imports"), "--no-logo"),
        "dead code": lambda: _passes(str(BIN / "vulture")),
        "wording": lambda: _none(wording.problems()),
        "buf lint": lambda: _passes(BUF, "lint"),
        "buf format": lambda: _passes(BUF, "format", "--diff", "--exit-code", "--path", "protos/partstream"),
        "buf breaking": _contracts_stay_compatible,
        "generated code": _generated_is_fresh,
        "installed packages": lambda: _passes(locks.UV, "pip", "check", "--python", sys.executable),
        "lock files": lambda: _none(locks.problems()),
    }
    if given.wheels:
        checks["wheels"] = lambda: _none(locks.without_wheels())
    failed = [name for name, check in checks.items() if not _run(name, check)]
    print(f"lint: {len(checks) - len(failed)} of {len(checks)} checks pass" + "".join(f"\n  {name}" for name in failed))
    return 1 if failed else 0


def _run(name: str, check: Callable[[], bool]) -> bool:
    started = time.monotonic()
    print(f"── {name}", flush=True)
    passed = check()
    print(f"   {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.1f} s", flush=True)
    return passed


def _none(problems: list[str]) -> bool:
    print("".join(f"   {problem}\n" for problem in problems), end="")
    return not problems


def _passes(*command: str) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _contracts_stay_compatible() -> bool:
    against = next((branch for branch in MAIN_BRANCHES if _has_contracts(branch)), None)
    if against is None:
        print("   left out: this clone has no branch main to compare with")
        return True
    commit = _git("rev-parse", against)
    return _passes(BUF, "breaking", "--against", f".git#ref={commit}")


def _has_contracts(branch: str) -> bool:
    return _git("ls-tree", "-d", "--name-only", branch, "protos") == "protos"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _generated_is_fresh() -> bool:
    different = generated_code.differences()
    if different:
        print("   not what protos/ makes (run ./partstream gen):", *different, sep="\n     ")
    if old := documents.stale():
        # Reported only: a reworded first line must not block a change.
        print("   behind the code, ./partstream gen refreshes them:", *old, sep="\n     ")
    return not different
