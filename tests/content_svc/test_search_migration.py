"""A database in use before search folded Unicode forms."""

from __future__ import annotations

import psycopg

from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import RunningService, resistor
from tests.harness.templates import migrate

AS_BEFORE = """
ALTER TABLE part DROP COLUMN search;
ALTER TABLE part ADD COLUMN search tsvector GENERATED ALWAYS AS (to_tsvector('simple', title)) STORED;
CREATE INDEX part_search ON part USING gin (search);
DROP FUNCTION search_folded(text);
DELETE FROM migration WHERE name = '2026-11-29T00:30:00:000010' AND app_name = 'content';
"""
FACTS = "SELECT (SELECT max(revision) FROM change_log), array_agg((part_id, version)::text ORDER BY part_id) FROM part"


async def test_existing_parts_are_found_and_unchanged(service: RunningService, resistors: str) -> None:
    del resistors
    await service.add_part(resistor("R1", title="zqy Caf\u00e9"))
    await service.add_part(resistor("R2", title="zqy Cafe\u0301"))

    with psycopg.connect(service.dsn, autocommit=True) as shell:
        shell.execute(AS_BEFORE)
        before = shell.execute(FACTS).fetchone()
        migrate("content", service.dsn)
        after = shell.execute(FACTS).fetchone()
        indexed = shell.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'part_search'").fetchone()
    found = await service.public.ListParts(pb.ListPartsRequest(query="zqy cafe\u0301"))

    assert [part.part_id for part in found.parts] == ["R1", "R2"]
    assert (after, indexed) == (before, (1,))
