"""Only commits make versions; a row changed without a log entry is found."""

from __future__ import annotations

import asyncpg
import pytest

AHEAD = """
INSERT INTO part_version (part_id, version, content_snapshot, schema_number, author)
SELECT part_id, version + 1, content_snapshot, 1, author FROM part_version
"""
DIFFERENCES = "SELECT entity, entity_id FROM change_log_rows_that_differ() ORDER BY 1, 2"
VERSIONS = "SELECT version FROM change_log WHERE entity = 'part' ORDER BY revision"


@pytest.fixture
async def part(sql: asyncpg.Connection) -> str:
    """A part below two categories."""
    await sql.execute("""
        INSERT INTO category (category_id, name) VALUES ('passives', 'Passives');
        INSERT INTO category (category_id, parent_id, name) VALUES ('resistors', 'passives', 'Resistors');
        INSERT INTO part (part_id, category_id, title) VALUES ('R1', 'resistors', 'Resistor');
    """)
    return "R1"


async def test_a_version_ahead_of_its_part_is_rejected(sql: asyncpg.Connection, part: str) -> None:
    """It was once taken for the version of the part's next change, which was then not logged."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await sql.execute(AHEAD)

    assert caught.value.constraint_name == "part_version_is_made_by_commits"
    await sql.execute("UPDATE part SET title = 'Better'")
    assert [row["version"] for row in await sql.fetch(VERSIONS)] == [1, 2]


@pytest.mark.parametrize("table", ["change_log", "part_version", "part_image", "category"])
async def test_a_temporary_table_of_the_same_name_receives_no_rows(
    sql: asyncpg.Connection, part: str, table: str
) -> None:
    await sql.execute(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM {table} LIMIT 0")  # noqa: S608

    await sql.execute("UPDATE part SET title = 'Better'")

    await sql.execute(f"DROP TABLE pg_temp.{table}")
    assert [row["version"] for row in await sql.fetch(VERSIONS)] == [1, 2]
    assert await sql.fetchval("SELECT count(*) FROM part_version") == 2
    assert await sql.fetch(DIFFERENCES) == []


async def test_a_renamed_category_or_user_is_no_difference_of_its_parts(sql: asyncpg.Connection, part: str) -> None:
    await sql.execute("UPDATE category SET name = 'Passive parts' WHERE category_id = 'passives'")
    await sql.execute("UPDATE users SET username = 'renamed ' || username")

    assert await sql.fetch(DIFFERENCES) == []


@pytest.mark.parametrize(
    ("table", "statement", "found"),
    [
        ("part", "UPDATE part SET title = 'Other'", [("part", "R1")]),
        ("part", "UPDATE part SET version = 2, title = 'Other'", [("part", "R1")] * 2),
        ("part_image", "INSERT INTO part_image (part_id, position, url) VALUES ('R1', 0, '/a.png')", [("part", "R1")]),
        ("part_version", "UPDATE part_version SET content_snapshot = '{}'", [("part", "R1")]),
        ("part_version", AHEAD, [("part", "R1")]),
        ("category", "UPDATE category SET name = 'Other' WHERE category_id = 'resistors'", [("category", "resistors")]),
    ],
)
async def test_a_row_changed_while_the_triggers_were_off_is_found(
    sql: asyncpg.Connection, part: str, table: str, statement: str, found: list[tuple[str, str]]
) -> None:
    assert await sql.fetch(DIFFERENCES) == []
    await sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")

    await sql.execute(statement)

    assert [tuple(row) for row in await sql.fetch(DIFFERENCES)] == found
