"""Pages of ``/admin/security-events``."""

import httpx
import pytest

from chassis.database import Database

EVENTS = "INSERT INTO security_event (kind, username) SELECT 'denied', 'visitor' FROM generate_series(1, 4)"


@pytest.mark.parametrize(("size", "pages"), [(2, [2, 2]), (3, [3, 1]), (4, [4]), (5, [4])])
async def test_a_full_last_page_has_no_token(
    admin: httpx.AsyncClient, database: Database, size: int, pages: list[int]
) -> None:
    """A token would lead to an empty page."""
    await database.pool.execute(EVENTS)

    query: dict[str, str | int] = {"kind": "denied", "page_size": size}
    found = [(await admin.get("/admin/security-events", params=query)).json()]
    while token := found[-1]["next_page_token"]:
        found.append((await admin.get("/admin/security-events", params={**query, "page_token": token})).json())

    assert [len(page["items"]) for page in found] == pages
    ids = [item["event_id"] for page in found for item in page["items"]]
    assert ids == sorted(set(ids), reverse=True)
