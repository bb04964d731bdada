"""Administering users and sessions."""

import asyncpg
import httpx
import pytest

from chassis.database import Database
from edge.identity.first_admin import ensure_first_admin

SECRET = "a long password"
CLERK = {"username": "clerk", "password": SECRET, "roles": ["stock_manager"]}


async def sign_in(client: httpx.AsyncClient, username: str, password: str) -> dict[str, str]:
    grant = (await client.post("/auth/login", json={"username": username, "password": password})).json()
    return {"Authorization": f"Bearer {grant['access_token']}"}


async def test_new_user_has_the_permissions_of_its_roles(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    created = await admin.post("/admin/users", json=CLERK)

    assert created.status_code == 201
    assert "password" not in created.text
    headers = await sign_in(client, "clerk", SECRET)
    assert (await client.get("/admin/users", headers=headers)).status_code == 403


async def test_name_can_be_taken_once(admin: httpx.AsyncClient) -> None:
    await admin.post("/admin/users", json=CLERK)

    again = await admin.post("/admin/users", json={**CLERK, "username": "Clerk"})

    assert (again.status_code, again.json()["reason"]) == (409, "NAME_TAKEN")


async def test_changing_roles_ends_open_sessions(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    user_id = (await admin.post("/admin/users", json=CLERK)).json()["user_id"]
    headers = await sign_in(client, "clerk", SECRET)

    changed = await admin.patch(f"/admin/users/{user_id}", json={"roles": ["customer"]})

    assert changed.json()["roles"] == ["customer"]
    refused = await client.get("/admin/users", headers=headers)
    assert refused.json()["reason"] == "TOKEN_REVOKED"


async def test_disabled_user_cannot_sign_in(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    user_id = (await admin.post("/admin/users", json=CLERK)).json()["user_id"]

    await admin.patch(f"/admin/users/{user_id}", json={"disabled": True})

    answer = await client.post("/auth/login", json={"username": "clerk", "password": SECRET})
    assert answer.status_code == 401


async def test_administrator_ends_a_session(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    user_id = (await admin.post("/admin/users", json=CLERK)).json()["user_id"]
    headers = await sign_in(client, "clerk", SECRET)
    sessions = (await admin.get("/admin/sessions", params={"user_id": user_id})).json()["items"]

    ended = await admin.delete(f"/admin/sessions/{sessions[0]['session_id']}")

    assert ended.status_code == 204
    assert (await client.get("/admin/users", headers=headers)).json()["reason"] == "TOKEN_REVOKED"


async def test_first_administrator_is_made_once(database: Database) -> None:
    await ensure_first_admin(database, "second", "another password")

    assert await database.pool.fetchval('SELECT count(*) FROM "user"') == 1


@pytest.mark.parametrize("statement", ["DELETE FROM security_event", "TRUNCATE security_event"])
async def test_security_events_stay(database: Database, admin: httpx.AsyncClient, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await database.pool.execute(statement)
