"""A generated password is shown once, whatever interrupts the first start."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from stack.checkout import ROOT
from stack.supervision.first_admin import NOT_YET_SHOWN, FirstAdmin, first_admin, password_problems, was_shown


def create(edge_dsn: str, admin: FirstAdmin) -> None:
    """As the edge's migration does."""
    with psycopg.connect(edge_dsn) as connection:
        connection.execute(
            b'INSERT INTO "user" (user_id, username, password_hash) VALUES (gen_random_uuid(), %s, %s)',
            (admin.username, admin.password),
        )


def test_a_password_that_was_never_shown_is_shown_by_the_next_start(edge_dsn: str, tmp_path: Path) -> None:
    """Ctrl-C between the migration and the banner once left a shop without anybody who could sign in."""
    admin = first_admin(edge_dsn, "admin", None, tmp_path)
    assert admin is not None
    create(edge_dsn, admin)

    again = first_admin(edge_dsn, "admin", None, tmp_path)

    assert again == FirstAdmin("admin", admin.password, generated=True, exists=True)
    assert (tmp_path / NOT_YET_SHOWN).stat().st_mode & 0o777 == 0o600


def test_a_password_that_was_shown_is_forgotten(edge_dsn: str, tmp_path: Path) -> None:
    admin = first_admin(edge_dsn, "admin", None, tmp_path)
    assert admin is not None
    create(edge_dsn, admin)

    was_shown(tmp_path)

    assert first_admin(edge_dsn, "admin", None, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_start_cut_short_before_the_migration_keeps_its_password(edge_dsn: str, tmp_path: Path) -> None:
    assert first_admin(edge_dsn, "admin", None, tmp_path) == first_admin(edge_dsn, "admin", None, tmp_path)


def test_a_password_that_is_given_takes_the_place_of_a_generated_one(edge_dsn: str, tmp_path: Path) -> None:
    first_admin(edge_dsn, "admin", None, tmp_path)

    assert first_admin(edge_dsn, "boss", "given", tmp_path) == FirstAdmin("boss", "given", generated=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"PARTSTREAM_ADMIN_PASSWORD": "password1234"}, "too easy to guess"),
        ({"PARTSTREAM_ADMIN_PASSWORD": "short"}, "12 to 200 characters"),
        ({"PARTSTREAM_ADMIN_PASSWORD": " " * 12}, "must not be blank"),
        (
            {"PARTSTREAM_ADMIN_PASSWORD": "bob.smith!2024", "PARTSTREAM_ADMIN_USERNAME": "bob.smith"},
            "easy to guess",
        ),
    ],
)
def test_up_rejects_a_weak_password_before_anything_starts(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    """A password of one letter was accepted for the account that may do everything."""
    folder = tmp_path / "data"

    done = subprocess.run(
        [sys.executable, "-m", "cli", "up", "--data-dir", str(folder)],
        check=False,
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "PARTSTREAM_ADMIN_PASSWORD is wrong: " in done.stderr
    assert reason in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize("password", [None, "", "seven orange tractors", "  seven orange tractors  "])
def test_a_strong_password_or_none_is_accepted(password: str | None) -> None:
    assert password_problems({} if password is None else {"PARTSTREAM_ADMIN_PASSWORD": password}) == []
