"""Read-your-writes by revision tokens, and tokens that were never issued."""

import time
import uuid

import httpx
import pytest

from changelog import cursor as cursors
from edge.app import Edge
from edge.audit_dispatch.trail import WAIT_SECONDS
from tests.edge.routes.shop import open_shop


async def test_every_response_has_a_revision(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)

    for response in (await client.get("/parts"), await client.get("/parts/NO-SUCH")):
        assert cursors.decode(response.headers["partstream-revision"])


@pytest.mark.parametrize("path", ["/parts", "/parts/LED-5MM-RED", "/parts/LED-5MM-RED/stock", "/categories"])
async def test_malformed_revision_is_rejected(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Partstream-Min-Revision": "nonsense"})

    assert (response.status_code, response.json()["reason"]) == (400, "CURSOR_MALFORMED")


async def test_malformed_revision_is_rejected_by_the_audit_route(admin: httpx.AsyncClient) -> None:
    response = await admin.get("/admin/audit", headers={"Partstream-Min-Revision": "nonsense"})

    assert (response.status_code, response.json()["reason"]) == (400, "CURSOR_MALFORMED")


async def test_without_redis_the_audit_is_incomplete_without_a_wait(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)

    began = time.monotonic()
    pages = [(await admin.get("/admin/audit")).json() for _ in range(5)]

    assert [page["complete"] for page in pages] == [False] * 5
    assert time.monotonic() - began < WAIT_SECONDS


async def test_a_future_revision_is_rejected_without_a_wait(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)
    written = await admin.put("/admin/parts/LED-5MM-RED/stock", json={"on_hand": 1, "expected_version": 0})
    known = cursors.decode(written.headers["partstream-revision"])["inventory"]
    future = cursors.encode(cursors.Position("inventory", known.epoch, known.revision + 1_000_000))
    elsewhere = cursors.encode(cursors.Position("inventory", uuid.uuid4(), 1))

    for token, reason in ((future, "CURSOR_FROM_FUTURE"), (elsewhere, "EPOCH_CHANGED")):
        response = await client.get("/parts/LED-5MM-RED/stock", headers={"Partstream-Min-Revision": token})
        assert (response.status_code, response.json()["reason"]) == (400, reason)


async def test_an_obsolete_revision_cookie_is_ignored(
    edge: Edge, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """A page that is open during a restore would get errors until its cookie expires."""
    await open_shop(admin)
    written = await admin.put("/admin/parts/LED-5MM-RED/stock", json={"on_hand": 1, "expected_version": 0})
    known = cursors.decode(written.headers["partstream-revision"])["inventory"]
    await edge.following.followers["inventory"].reached(known, 10)
    lost = cursors.encode(cursors.Position("inventory", uuid.uuid4(), known.revision))

    for cookie in ("nonsense", lost):
        response = await client.get("/parts/LED-5MM-RED/stock", headers={"Cookie": f"partstream_revision={cookie}"})
        assert response.status_code == 200, response.text


async def test_a_revision_slightly_ahead_is_503_with_retry_after(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)
    written = await admin.put("/admin/parts/LED-5MM-RED/stock", json={"on_hand": 1, "expected_version": 0})
    known = cursors.decode(written.headers["partstream-revision"])["inventory"]
    ahead = cursors.encode(cursors.Position("inventory", known.epoch, known.revision + 1))

    response = await client.get("/parts/LED-5MM-RED/stock", headers={"Partstream-Min-Revision": ahead})

    assert (response.status_code, response.json()["reason"]) == (503, "REVISION_NOT_YET_SERVED")
    assert int(response.headers["retry-after"]) >= 1
