"""Old claims are forgotten, however many there are; young ones stay."""

from __future__ import annotations

import pytest

from chassis.database import Database
from chassis.request_claims import delete_once

CLAIMS = """
INSERT INTO request (principal, request_id, body_hash, created_at)
SELECT 'user:1', gen_random_uuid(), sha256('x'), now() - make_interval(hours => CASE WHEN n % 5 = 0 THEN 1 ELSE 26 END)
FROM generate_series(1, 100) AS n
"""
LEFT = "SELECT count(*), min(created_at) > now() - interval '2 hours' FROM request"


@pytest.mark.parametrize("room", ["inventory", "content"])
async def test_more_claims_than_one_statement_forgets(room: str, request: pytest.FixtureRequest) -> None:
    """A backlog that took longer than a statement may was never forgotten."""
    database = await Database.open(request.getfixturevalue(f"{room}_dsn"), application_name="test", max_size=2)
    try:
        await database.pool.execute(CLAIMS)

        assert await delete_once(database, at_once=16) == 80
        assert tuple(await database.pool.fetchrow(LEFT) or ()) == (20, True)
    finally:
        await database.close()
