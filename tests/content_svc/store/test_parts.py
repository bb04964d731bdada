"""The rules in Python and in the database agree: what Python accepts, the database stores and returns unchanged."""

from __future__ import annotations

import asyncio
import json

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from content_svc.convert.requests import content_from_part
from content_svc.convert.responses import fill_part_from_snapshot, part_message
from content_svc.domain.part import Part, PartContent
from content_svc.domain.part_merge import changed_fields
from content_svc.domain.part_rules import canonical, validate_part
from content_svc.store.parts import insert_parts, lock_parts
from partstream.content.v1 import part_pb2
from tests.content_svc.domain.generated import contents

SNAPSHOT = "SELECT content_snapshot FROM part_version WHERE part_id = $1 AND version = 1"


async def store(connection: asyncpg.Connection, parts: list[tuple[str, PartContent]]) -> dict[str, Part]:
    async with connection.transaction():
        await insert_parts(connection, dict(parts))
    return await lock_parts(connection, [part_id for part_id, _ in parts])


def test_valid_content_is_stored_and_returned_unchanged(content_dsn: str) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(content_dsn))
        runner.run(connection.execute("INSERT INTO category (category_id, name) VALUES ('resistors', 'Resistors')"))
        count = 0

        @given(st.lists(contents(), min_size=1, max_size=5))
        def check(wanted: list[PartContent]) -> None:
            nonlocal count
            parts = []
            for content in map(canonical, wanted):
                count += 1
                validate_part(f"R{count}", content)
                parts.append((f"R{count}", content))

            stored = runner.run(store(connection, parts))

            for part_id, content in parts:
                part = stored[part_id]
                assert part.content == content
                assert changed_fields(part.content, content) == ()
                message = part_message(part)
                assert content_from_part(message) == content
                snapshot = part_pb2.Part()
                fill_part_from_snapshot(snapshot, json.loads(runner.run(connection.fetchval(SNAPSHOT, part_id))))
                assert snapshot == message

        check()
        runner.run(connection.close())
