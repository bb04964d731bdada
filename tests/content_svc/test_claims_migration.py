"""A database in use before claims had a principal."""

from __future__ import annotations

import psycopg

from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import USER_ID, RunningService, new_id, resistor
from tests.harness.templates import migrate

AS_BEFORE = """
ALTER TABLE request DROP CONSTRAINT request_pkey, DROP COLUMN principal,
    ADD CONSTRAINT request_pkey PRIMARY KEY (request_id);
DELETE FROM migration WHERE name = '2026-11-28T21:30:00:000000' AND app_name = 'content';
"""


async def test_a_retry_across_the_migration_is_replayed(service: RunningService, resistors: str) -> None:
    del resistors
    request = pb.CreatePartRequest(part=resistor(), request_id=new_id())
    first = await service.staff.CreatePart(request)

    with psycopg.connect(service.dsn, autocommit=True) as shell:
        shell.execute(AS_BEFORE)
        migrate("content", service.dsn)
        found = shell.execute("SELECT DISTINCT principal FROM request").fetchall()
    second = await service.staff.CreatePart(request)

    assert found == [(f"user:{USER_ID}",)]
    assert (second.replayed, second.part) == (True, first.part)
