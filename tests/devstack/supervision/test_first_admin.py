"""A generated password is shown once, whatever interrupts the first start."""

from pathlib import Path

import psycopg

from devstack.supervision.first_admin import NOT_YET_SHOWN, FirstAdmin, first_admin, was_shown


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
