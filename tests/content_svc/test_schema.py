"""Declared tables equal migrated tables; every constraint has an error or is internal."""

from __future__ import annotations

import re

import asyncpg

from chassis.database import Database
from content_svc.errors import CONSTRAINTS as CONSTRAINT_ERRORS
from content_svc.errors import INTERNAL_CONSTRAINTS
from content_svc.sql import schema_category, schema_check, schema_part
from content_svc.tables import TABLES, bind

COLUMNS = """
SELECT column_name, upper(udt_name) AS type, is_nullable = 'YES' AS nullable
FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1
"""
# Names of the same types in Piccolo and in PostgreSQL.
NAMES = {"BIGINT": "INT8", "INTEGER": "INT4", "SMALLINT": "INT2", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}

CONSTRAINTS = """
SELECT c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE t.relname = ANY($1::text[]) AND c.contype IN ('c', 'f', 'p', 'u', 'x')
"""


async def test_tables_as_declared_equal_tables_as_migrated(sql: asyncpg.Connection, content_dsn: str) -> None:
    database = await Database.open(content_dsn, application_name="test", max_size=1)
    bind(database.engine)
    await database.close()

    for table in TABLES:
        records = await sql.fetch(COLUMNS, table._meta.tablename)
        migrated = {record["column_name"]: (record["type"], record["nullable"]) for record in records}

        declared = {}
        for column in table._meta.columns:
            name = column.column_type.upper()
            name = "_TEXT" if name == "TEXT[]" else NAMES.get(name, name)
            declared[column._meta.name] = (name, column._meta.null)

        assert declared == migrated


async def test_every_constraint_has_an_error_or_is_internal(sql: asyncpg.Connection) -> None:
    records = await sql.fetch(CONSTRAINTS, [table._meta.tablename for table in TABLES])
    in_tables = {record["conname"] for record in records}
    scripts = "".join((*schema_category.CATEGORY, *schema_part.PART, *schema_check.CHECKS))
    in_triggers = set(re.findall(r"CONSTRAINT = '(\w+)'", scripts)) | set(
        re.findall(r"refuse_statement\('(\w+)'", scripts)
    )

    assert in_tables | in_triggers == set(CONSTRAINT_ERRORS) | INTERNAL_CONSTRAINTS
    assert not set(CONSTRAINT_ERRORS) & INTERNAL_CONSTRAINTS


async def test_anonymous_is_a_user(sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT username FROM users WHERE id = '00000000-0000-0000-0000-000000000000'")

    assert name == "anonymous"
