"""Followers of the change logs over REST: listed, and removed with a permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chassis.channels import open_channel
from chassis.tokens import ServiceToken
from partstream.changes.v1.change_log_service_pb2 import RegisterFollowerRequest
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub

if TYPE_CHECKING:
    import httpx

    from tests.edge.conftest import Keys


@pytest.fixture
async def registered(targets: tuple[str, str], keys: Keys) -> None:
    """A follower of each log."""
    for target, name in zip(targets, ("warehouse", "search"), strict=True):
        async with open_channel([target], token=ServiceToken(keys.credential, "edge")) as channel:
            log: Any = ChangeLogServiceStub(channel)
            await log.RegisterFollower(RegisterFollowerRequest(name=name))


async def names(admin: httpx.AsyncClient) -> list[tuple[str, str]]:
    items = (await admin.get("/admin/followers")).json()["items"]
    return [(item["service"], item["name"]) for item in items]


async def test_followers_are_listed_and_removed(admin: httpx.AsyncClient, registered: None) -> None:
    assert await names(admin) == [("content", "search"), ("inventory", "warehouse")]
    first = (await admin.get("/admin/followers")).json()["items"][0]
    assert (first["registered_by"], first["revision"], first["inactive"]) == ("edge", 0, False)

    removed = await admin.delete("/admin/followers/inventory/warehouse")
    again = await admin.delete("/admin/followers/inventory/warehouse")

    assert (removed.status_code, again.status_code) == (204, 404)
    assert again.json()["reason"] == "FOLLOWER_NOT_FOUND"
    assert await names(admin) == [("content", "search")]


async def test_an_auditor_can_list_but_not_remove(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, registered: None
) -> None:
    auditor = {"username": "auditor", "password": "correct horse battery staple"}
    await admin.post("/admin/users", json={**auditor, "roles": ["auditor"]})
    token = (await client.post("/auth/login", json=auditor)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    assert (await client.get("/admin/followers", headers=headers)).status_code == 200
    assert (await client.delete("/admin/followers/content/search", headers=headers)).status_code == 403
    assert (await client.get("/admin/followers")).status_code == 401
