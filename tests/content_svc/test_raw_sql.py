"""Rules that the database enforces for plain SQL."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from typing import Any

import asyncpg
import pytest

ROLE = "content"
ROLE_USER = uuid.UUID(hashlib.md5(f"role:{ROLE}".encode(), usedforsecurity=False).hexdigest())


@pytest.fixture
async def part(sql: asyncpg.Connection) -> str:
    """A part with two images, inserted by SQL in one transaction."""
    await sql.execute("""
        INSERT INTO category (category_id, name) VALUES ('resistors', 'Resistors');
        BEGIN;
        INSERT INTO part (part_id, category_id, title) VALUES ('R1', 'resistors', 'Resistor');
        INSERT INTO part_image (part_id, position, url) VALUES ('R1', 0, '/a.png'), ('R1', 1, '/b.png');
        COMMIT;
    """)
    return "R1"


async def log_of(sql: asyncpg.Connection, entity_id: str) -> list[dict[str, Any]]:
    records = await sql.fetch("SELECT * FROM change_log WHERE entity_id = $1 ORDER BY revision", entity_id)
    return [
        dict(record) | {name: json.loads(record[name] or "null") for name in ("before", "after", "details")}
        for record in records
    ]


async def versions_of(sql: asyncpg.Connection, part_id: str) -> list[dict[str, Any]]:
    records = await sql.fetch("SELECT * FROM part_version WHERE part_id = $1 ORDER BY version", part_id)
    return [dict(record) | {"content_snapshot": json.loads(record["content_snapshot"])} for record in records]


async def state_is_consistent(sql: asyncpg.Connection, part_id: str) -> None:
    """Every version has one snapshot and one log entry; the last one equals the row."""
    versions, entries = await versions_of(sql, part_id), await log_of(sql, part_id)
    row = await sql.fetchrow("SELECT version, part_snapshot(part) AS now FROM part WHERE part_id = $1", part_id)
    assert row is not None
    numbers = list(range(1, row["version"] + 1))
    assert [version["version"] for version in versions] == numbers
    assert [entry["version"] for entry in entries] == numbers
    assert [version["content_snapshot"] for version in versions] == [entry["after"] for entry in entries]
    assert [entry["before"] for entry in entries] == [None, *(entry["after"] for entry in entries[:-1])]
    assert entries[-1]["after"] == json.loads(row["now"])


async def test_several_statements_of_one_transaction_make_one_version(sql: asyncpg.Connection, part: str) -> None:
    entries = await log_of(sql, part)

    assert [(entry["operation"], entry["version"]) for entry in entries] == [("created", 1)]
    assert [image["url"] for image in entries[0]["after"]["images"]] == ["/a.png", "/b.png"]
    await state_is_consistent(sql, part)


async def test_an_update_by_sql_is_versioned_and_logged_under_the_role(sql: asyncpg.Connection, part: str) -> None:
    await sql.execute("UPDATE part SET title = 'Better', specifications = '{\"a\": 1}' WHERE part_id = 'R1'")

    entry = (await log_of(sql, part))[-1]
    assert (entry["operation"], entry["version"], entry["source"]) == ("updated", 2, "sql")
    assert (entry["actor"], entry["actor_name"]) == (str(ROLE_USER), ROLE)
    assert entry["details"] == {"changed_fields": ["specifications", "title"]}
    assert (entry["before"]["title"], entry["after"]["title"]) == ("Resistor", "Better")
    assert await sql.fetchval("SELECT updated_by FROM part WHERE part_id = 'R1'") == ROLE_USER
    await state_is_consistent(sql, part)


async def test_session_settings_do_not_make_a_session_the_service(sql: asyncpg.Connection, part: str) -> None:
    await sql.execute("""
        BEGIN;
        SELECT set_config('partstream.actor', '00000000-0000-0000-0000-000000000000', true),
               set_config('partstream.actor_name', 'someone else', true);
        UPDATE part SET title = 'Better' WHERE part_id = 'R1';
        COMMIT;
    """)

    entry = (await log_of(sql, part))[-1]
    assert (entry["source"], entry["actor_name"]) == ("sql", ROLE)


@pytest.mark.parametrize(
    "statements",
    [
        "UPDATE part SET title = 'A'; UPDATE part SET title = 'B'",
        "UPDATE part SET title = 'A', version = version + 1",
        "UPDATE part SET title = 'A'; UPDATE part_image SET alt = 'x'",
        "UPDATE part_image SET alt = 'x'; UPDATE part SET title = 'A'",
        "UPDATE part_image SET alt = 'x'",
        "DELETE FROM part_image WHERE position = 1",
        "DELETE FROM part_image",
        "INSERT INTO part_image (part_id, position, url) VALUES ('R1', 2, '/c.png')",
        "UPDATE part_image SET position = 2 WHERE position = 0; UPDATE part_image SET position = position - 1",
        "UPDATE part SET deleted_at = now()",
        "UPDATE part SET title = 'A'; UPDATE part SET title = 'Resistor'",
    ],
)
async def test_one_transaction_is_one_version_whatever_it_did(
    sql: asyncpg.Connection, part: str, statements: str
) -> None:
    await sql.execute(f"BEGIN; {statements}; COMMIT")

    assert [entry["version"] for entry in await log_of(sql, part)] == [1, 2]
    await state_is_consistent(sql, part)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE part SET title = title",
        "UPDATE part_image SET alt = alt",
        "UPDATE part SET updated_at = now() - interval '1 day', created_at = now(), published_version = 0",
        "UPDATE category SET name = name",
    ],
)
async def test_a_write_without_a_difference_is_not_logged(sql: asyncpg.Connection, part: str, statement: str) -> None:
    before = await sql.fetchval("SELECT count(*) FROM change_log")

    await sql.execute(statement)

    assert await sql.fetchval("SELECT count(*) FROM change_log") == before
    await state_is_consistent(sql, part)


async def test_a_rolled_back_write_leaves_no_gap(sql: asyncpg.Connection, part: str) -> None:
    await sql.execute("BEGIN; UPDATE part SET title = 'A'; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK")
    await sql.execute("BEGIN; SAVEPOINT s; UPDATE part SET title = 'B'; ROLLBACK TO s; COMMIT")
    await sql.execute("UPDATE part SET title = 'C'")

    assert [entry["version"] for entry in await log_of(sql, part)] == [1, 2]
    revisions = await sql.fetch("SELECT revision FROM change_log ORDER BY revision")
    assert [record["revision"] for record in revisions] == list(range(1, len(revisions) + 1))
    await state_is_consistent(sql, part)


async def test_concurrent_writers_of_one_part_make_dense_versions(
    sql: asyncpg.Connection, part: str, content_dsn: str
) -> None:
    async def write(number: int) -> None:
        connection = await asyncpg.connect(content_dsn)
        try:
            if number % 2:
                await connection.execute("UPDATE part SET title = $1", f"title {number}")
            else:
                await connection.execute("UPDATE part_image SET alt = $1 WHERE position = 0", f"alt {number}")
        finally:
            await connection.close()

    await asyncio.gather(*(write(number) for number in range(12)))

    assert await sql.fetchval("SELECT version FROM part") == 13
    await state_is_consistent(sql, part)


async def test_publishing_and_deleting_have_their_operations(sql: asyncpg.Connection, part: str) -> None:
    await sql.execute("UPDATE part SET status = 'published'")
    await sql.execute("UPDATE part SET title = 'A'")
    await sql.execute("UPDATE part SET deleted_at = now()")
    await sql.execute("UPDATE part SET deleted_at = NULL, status = 'draft'")

    entries = await log_of(sql, part)
    assert [entry["operation"] for entry in entries] == ["created", "updated", "updated", "deleted", "updated"]
    assert [entry["after"]["published_version"] for entry in entries] == [0, 2, 3, 4, 4]
    await state_is_consistent(sql, part)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("DELETE FROM part", "part_delete_is_soft"),
        ("TRUNCATE part CASCADE", "part_delete_is_soft"),
        ("DELETE FROM category", "category_delete_is_soft"),
        ("TRUNCATE part_image", "part_image_is_not_truncated"),
        ("UPDATE part_version SET comment = 'x'", "part_version_is_append_only"),
        ("DELETE FROM part_version", "part_version_is_append_only"),
        ("TRUNCATE part_version", "part_version_is_append_only"),
        ("UPDATE part SET part_id = 'R2'", "part_id_immutable"),
        ("UPDATE category SET category_id = 'x'", "category_id_immutable"),
        ("UPDATE part SET version = version + 2", "part_version_dense"),
        ("UPDATE part SET version = version - 1", "part_version_dense"),
        ("UPDATE category SET deleted_at = now()", "category_has_dependents"),
        ("UPDATE part SET category_id = 'nowhere'", "part_category_exists"),
        ("UPDATE part SET title = '  '", "title_length"),
        ("UPDATE part SET title = repeat('x', 301)", "title_length"),
        ("UPDATE part SET price_minor = -1, currency = 'USD'", "price_not_negative"),
        ("UPDATE part SET price_minor = 1", "money_has_currency"),
        ("UPDATE part SET price_minor = 1, currency = 'usd'", "currency_code"),
        ("UPDATE part SET status = 'gone'", "status_known"),
        ("UPDATE part SET specifications = '[]'", "specifications_are_scalars"),
        ("UPDATE part SET specifications = '{\"a\": {}}'", "specifications_are_scalars"),
        ('UPDATE part SET price_breaks = \'[{"from_quantity": 1, "unit_price": "1"}]\'', "price_breaks_have_price"),
        (
            """
            UPDATE part SET price_minor = 1, currency = 'USD',
                price_breaks = '[{"from_quantity": 0, "unit_price": "1"}]'
            """,
            "price_breaks_rise",
        ),
        ("UPDATE part SET datasheet_url = 'javascript:x'", "datasheet_url_form"),
        ("UPDATE part_image SET url = 'http://x/a.png'", "image_url_form"),
        ("UPDATE part_image SET url = '//x/a.png'", "image_url_form"),
        ("UPDATE part_image SET position = 20 WHERE position = 1", "images_at_most_20"),
        ("DELETE FROM part_image WHERE position = 0", "image_positions_dense"),
        ("INSERT INTO part (part_id, category_id, title) VALUES ('a b', 'resistors', 'x')", "part_id_form"),
        ("INSERT INTO part (part_id, category_id, title) VALUES ('R2', 'nowhere', 'x')", "part_category_exists"),
        ("INSERT INTO part (part_id, category_id, title) VALUES ('R1', 'resistors', 'x')", "part_pkey"),
        ("INSERT INTO category (category_id, name, parent_id) VALUES ('x', 'x', 'nowhere')", "category_parent_exists"),
        ("INSERT INTO category (category_id, name, parent_id) VALUES ('x', 'x', 'x')", "category_no_cycle"),
    ],
)
async def test_invalid_states_are_rejected_by_constraint(
    sql: asyncpg.Connection, part: str, statement: str, constraint: str
) -> None:
    before = await sql.fetchval("SELECT count(*) FROM change_log")

    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await sql.execute(statement)

    assert caught.value.constraint_name == constraint
    assert await sql.fetchval("SELECT count(*) FROM change_log") == before
