"""Every constraint has an error or is internal."""

from __future__ import annotations

import re

import asyncpg

from content_svc.errors import CONSTRAINTS as CONSTRAINT_ERRORS
from content_svc.errors import INTERNAL_CONSTRAINTS
from stack.checkout import ROOT

TABLES = ["users", "request", "category", "part", "part_image", "part_version"]
CONSTRAINTS = """
SELECT c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE t.relname = ANY($1::text[]) AND c.contype IN ('c', 'f', 'p', 'u', 'x')
"""


async def test_every_constraint_has_an_error_or_is_internal(sql: asyncpg.Connection) -> None:
    records = await sql.fetch(CONSTRAINTS, TABLES)
    in_tables = {record["conname"] for record in records}
    scripts = (ROOT / "content_svc" / "migrations" / "schema.sql").read_text()
    in_triggers = set(re.findall(r"CONSTRAINT = '(\w+)'", scripts)) | set(
        re.findall(r"refuse_statement\('(\w+)'", scripts)
    )

    assert in_tables | in_triggers == set(CONSTRAINT_ERRORS) | INTERNAL_CONSTRAINTS
    assert not set(CONSTRAINT_ERRORS) & INTERNAL_CONSTRAINTS


async def test_anonymous_is_a_user(sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT username FROM users WHERE id = '00000000-0000-0000-0000-000000000000'")

    assert name == "anonymous"
