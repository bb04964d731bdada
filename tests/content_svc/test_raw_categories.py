"""The tree of categories in the database: paths, cycles, log entries."""

from __future__ import annotations

import json

import asyncpg
import pytest


@pytest.fixture
async def tree(sql: asyncpg.Connection) -> None:
    """Passives > Resistors > Chip."""
    await sql.execute("""
        INSERT INTO category (category_id, name) VALUES ('passives', 'Passives');
        INSERT INTO category (category_id, parent_id, name) VALUES ('resistors', 'passives', 'Resistors');
        INSERT INTO category (category_id, parent_id, name) VALUES ('chip', 'resistors', 'Chip');
        INSERT INTO category (category_id, name) VALUES ('actives', 'Actives');
    """)


async def path(sql: asyncpg.Connection, category_id: str) -> str:
    return " > ".join(await sql.fetchval("SELECT path FROM category WHERE category_id = $1", category_id))


async def test_a_path_follows_the_names_of_its_ancestors(sql: asyncpg.Connection, tree: None) -> None:
    await sql.execute("UPDATE category SET name = 'Passive parts' WHERE category_id = 'passives'")
    await sql.execute("UPDATE category SET parent_id = 'actives' WHERE category_id = 'resistors'")

    assert await path(sql, "chip") == "Actives > Resistors > Chip"
    entries = await sql.fetch(
        "SELECT version, details->'changed_fields' AS changed FROM change_log WHERE entity_id = 'chip' ORDER BY version"
    )
    assert [(entry["version"], json.loads(entry["changed"])) for entry in entries[1:]] == [(2, ["path"]), (3, ["path"])]


async def test_a_path_cannot_be_set_directly(sql: asyncpg.Connection, tree: None) -> None:
    await sql.execute("UPDATE category SET path = '{x}' WHERE category_id = 'chip'")

    assert await path(sql, "chip") == "Passives > Resistors > Chip"


@pytest.mark.parametrize("parent", ["passives", "resistors", "chip"])
async def test_a_category_cannot_be_moved_below_itself(sql: asyncpg.Connection, tree: None, parent: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await sql.execute("UPDATE category SET parent_id = $1 WHERE category_id = 'passives'", parent)

    assert caught.value.constraint_name == "category_no_cycle"


async def test_only_an_empty_category_can_be_deleted(sql: asyncpg.Connection, tree: None) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute("UPDATE category SET deleted_at = now() WHERE category_id = 'resistors'")

    await sql.execute("UPDATE category SET deleted_at = now() WHERE category_id = 'chip'")
    await sql.execute("UPDATE category SET deleted_at = now() WHERE category_id = 'resistors'")

    operations = await sql.fetch("SELECT operation FROM change_log WHERE entity_id = 'chip' ORDER BY revision")
    assert [record["operation"] for record in operations] == ["created", "deleted"]


async def test_a_deleted_category_accepts_no_dependents(sql: asyncpg.Connection, tree: None) -> None:
    await sql.execute("UPDATE category SET deleted_at = now() WHERE category_id = 'chip'")

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await sql.execute("INSERT INTO part (part_id, category_id, title) VALUES ('R1', 'chip', 'x')")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await sql.execute("INSERT INTO category (category_id, parent_id, name) VALUES ('a', 'chip', 'x')")


async def test_a_tree_is_not_deeper_than_16(sql: asyncpg.Connection) -> None:
    await sql.execute("INSERT INTO category (category_id, name) VALUES ('c1', 'c')")
    insert = "INSERT INTO category (category_id, parent_id, name) VALUES ($1, $2, 'c')"
    for level in range(2, 17):
        await sql.execute(insert, f"c{level}", f"c{level - 1}")

    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await sql.execute(insert, "c17", "c16")

    assert caught.value.constraint_name == "category_depth_within_16"
