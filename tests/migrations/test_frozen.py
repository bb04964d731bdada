"""A migration never changes after it has landed: a database that has run it would differ from a new one."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path

import pytest

from stack.checkout import ROOT
from tests.migrations.catalogue import PACKAGES, folder

LIST = Path(__file__).with_name("frozen.txt")
NAME = re.compile(r"(pre|post)_(?P<number>\d{4})_[a-z0-9_]+")


def migrations(service: str) -> list[str]:
    """Return the names of the migrations of a database, without their endings, in the order of their numbers."""
    names = {path.stem for path in folder(service).glob("p*.py")}
    return sorted(names, key=lambda name: name.partition("_")[2])


def migration_id(service: str, name: str) -> str:
    found: str = importlib.import_module(f"{PACKAGES[service]}.migrations.{name}").ID
    return found


@pytest.mark.parametrize("service", PACKAGES)
def test_each_migration_is_a_file_of_sql_with_a_number(service: str) -> None:
    names = migrations(service)
    scripts = {path.stem.removesuffix(".down") for path in folder(service).glob("p*.sql")}

    numbers = [int(match["number"]) for name in names if (match := NAME.fullmatch(name))]
    assert set(names) == scripts
    assert numbers == list(range(1, len(names) + 1))


@pytest.mark.parametrize("service", PACKAGES)
def test_migrations_run_in_the_order_of_their_numbers(service: str) -> None:
    ids = [migration_id(service, name) for name in migrations(service)]

    assert ids == sorted(set(ids))


def test_no_migration_has_changed() -> None:
    present = []
    for service in PACKAGES:
        for name in migrations(service):
            path = folder(service) / f"{name}.sql"
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            present.append(f"{digest}  {path.relative_to(ROOT)}  {migration_id(service, name)}")

    assert present == LIST.read_text().splitlines(), (
        "A migration has changed. Never edit one that has landed: add a new one (docs/migrations.md). "
        f"A new one gets its line in {LIST.relative_to(ROOT)}."
    )
