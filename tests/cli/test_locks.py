"""The lock files name everything that is required, with hashes and without addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.development import locks


def test_the_lock_files_are_complete() -> None:
    assert locks.problems() == []


@pytest.mark.parametrize(
    ("file", "package", "reason"),
    [
        (locks.RUNTIME, "grpcio", "pyproject.toml requires grpcio==1.85.1, locked is nothing"),
        # An extra of a requirement: an installer's own check leaves these out.
        (locks.RUNTIME, "email-validator", "requires email-validator"),
        (locks.DEVELOPMENT, "pluggy", "pytest requires pluggy"),
    ],
)
def test_a_package_missing_from_a_lock_is_reported(
    file: Path, package: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / file.name
    short.write_text("\n".join(pin for pin in locks._pins(file) if not pin.startswith(f"{package}==")) + "\n")
    groups = {short if known is file else known: names for known, names in locks.GROUPS.items()}
    monkeypatch.setattr(locks, "GROUPS", groups)
    monkeypatch.setattr(locks, "RUNTIME" if file is locks.RUNTIME else "DEVELOPMENT", short)

    assert any(line.startswith(file.name) and reason in line for line in locks.problems())


def test_an_address_in_a_lock_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "requirements.txt"
    other.write_text("--index-url https://example.invalid/simple\n" + locks.RUNTIME.read_text())
    monkeypatch.setattr(locks, "GROUPS", {other: ("runtime",), locks.DEVELOPMENT: locks.GROUPS[locks.DEVELOPMENT]})
    monkeypatch.setattr(locks, "RUNTIME", other)

    assert any("an address" in line for line in locks.problems())


def test_every_requirement_says_what_it_is_for() -> None:
    lines = locks.PROJECT.read_text().partition("[dependency-groups]")[2].partition("\n[tool")[0].splitlines()
    bare = [line.strip() for line in lines if line.startswith('    "') and "#" not in line]
    after_a_comment = {"gevent", "opentelemetry-sdk", "types-grpcio", "types-protobuf", "types-psutil"}

    assert {line.strip('",').partition("<")[0].partition(">")[0] for line in bare} <= after_a_comment
