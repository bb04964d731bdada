"""Administration of users and sessions."""

import asyncio

import asyncpg
import httpx
import pytest

from chassis.database import Database
from edge.http.errors import LastAdministrator
from edge.identity.administration import UserAdministration
from edge.identity.lockout import Lockout
from edge.identity.passwords import Passwords
from edge.identity.security_events import SecurityEvents
from edge.identity.sessions import Sessions
from edge.identity.users import Users, ensure_first_admin

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

    response = await client.post("/auth/login", json={"username": "clerk", "password": SECRET})
    assert response.status_code == 401


async def test_administrator_ends_a_session(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    user_id = (await admin.post("/admin/users", json=CLERK)).json()["user_id"]
    headers = await sign_in(client, "clerk", SECRET)
    sessions = (await admin.get("/admin/sessions", params={"user_id": user_id})).json()["items"]

    ended = await admin.delete(f"/admin/sessions/{sessions[0]['session_id']}")

    assert ended.status_code == 204
    assert (await client.get("/admin/users", headers=headers)).json()["reason"] == "TOKEN_REVOKED"


async def test_first_administrator_is_created_once(database: Database) -> None:
    await ensure_first_admin(database, "second", "another password")

    assert await database.pool.fetchval('SELECT count(*) FROM "user"') == 1


@pytest.mark.parametrize("statement", ["DELETE FROM security_event", "TRUNCATE security_event"])
async def test_security_events_are_append_only(database: Database, admin: httpx.AsyncClient, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await database.pool.execute(statement)


@pytest.mark.parametrize("change", [{"disabled": True}, {"roles": ["support"]}, {"roles": []}])
async def test_the_last_administrator_cannot_be_disabled_or_demoted(
    admin: httpx.AsyncClient, change: dict[str, object]
) -> None:
    """Without an administrator the system cannot be administered."""
    (own,) = (await admin.get("/admin/users")).json()["items"]

    refused = await admin.patch(f"/admin/users/{own['user_id']}", json=change)

    assert (refused.status_code, refused.json()["reason"]) == (409, "LAST_ADMINISTRATOR")
    assert (await admin.get("/admin/users")).json()["items"] == [own]


async def test_one_of_two_administrators_can_be_disabled(admin: httpx.AsyncClient) -> None:
    other = (await admin.post("/admin/users", json={**CLERK, "roles": ["admin"]})).json()["user_id"]

    assert (await admin.patch(f"/admin/users/{other}", json={"disabled": True})).status_code == 200
    (own,) = [user for user in (await admin.get("/admin/users")).json()["items"] if user["username"] == "admin"]
    refused = await admin.patch(f"/admin/users/{own['user_id']}", json={"disabled": True})
    assert refused.status_code == 409


@pytest.mark.parametrize("round_number", range(5))
async def test_parallel_changes_leave_an_administrator(
    admin: httpx.AsyncClient, database: Database, round_number: int
) -> None:
    """Each change alone is valid, because the others are still enabled."""
    for number in range(4):
        await admin.post("/admin/users", json={**CLERK, "username": f"admin-{number}", "roles": ["admin"]})
    ids = await database.pool.fetch('SELECT user_id FROM "user"')
    administration = UserAdministration(
        Users(database), Sessions(database), Passwords(), Lockout(database), SecurityEvents(database)
    )

    outcomes = await asyncio.gather(
        *(administration.change(row[0], password=None, roles=None, disabled=True) for row in ids),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes].count(LastAdministrator) == 1
    assert await database.pool.fetchval('SELECT count(*) FROM "user" WHERE disabled_at IS NULL') == 1


@pytest.mark.parametrize("statement", ["UPDATE \"user\" SET roles = '{}'", 'DELETE FROM "user"'])
async def test_the_table_rejects_the_removal_of_the_last_administrator(database: Database, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="last enabled administrator"):
        await database.pool.execute(statement)


@pytest.mark.parametrize("change", [{}, {"roles": ["stock_manager", "stock_manager"]}, {"disabled": False}])
async def test_a_change_to_the_same_values_has_no_effect(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, change: dict[str, object]
) -> None:
    """It ends no session, and is not recorded."""
    user = (await admin.post("/admin/users", json=CLERK)).json()
    headers = await sign_in(client, "clerk", SECRET)

    changed = await admin.patch(f"/admin/users/{user['user_id']}", json=change)

    assert (changed.status_code, changed.json()) == (200, user)
    assert (await client.get("/auth/session", headers=headers)).json()["username"] == "clerk"
    assert (await admin.get("/admin/security-events", params={"kind": "user_changed"})).json()["items"] == []


async def test_an_empty_change_of_an_unknown_user_is_404(admin: httpx.AsyncClient) -> None:
    assert (await admin.patch("/admin/users/6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", json={})).status_code == 404


async def test_roles_have_no_duplicates(admin: httpx.AsyncClient, database: Database) -> None:
    roles = ["support", "auditor", "support"]
    user = (await admin.post("/admin/users", json={**CLERK, "roles": roles})).json()

    changed = await admin.patch(f"/admin/users/{user['user_id']}", json={"roles": ["auditor", "auditor"]})

    assert user["roles"] == ["support", "auditor"]
    assert changed.json()["roles"] == ["auditor"]
    with pytest.raises(asyncpg.CheckViolationError, match="roles_are_a_set"):
        await database.pool.execute("""UPDATE "user" SET roles = '{auditor,auditor}' WHERE username = 'clerk'""")


async def test_a_sign_in_with_a_password_that_changes_meanwhile_fails(
    admin: httpx.AsyncClient, database: Database
) -> None:
    """A reset between the check of the password and the new session must end the sign-in."""
    await admin.post("/admin/users", json=CLERK)
    verified = await Users(database).by_name("clerk")
    assert verified is not None

    await admin.patch(f"/admin/users/{verified.user_id}", json={"password": "a password after that"})

    assert await Sessions(database).begin(verified.user_id, verified.password_hash, "192.0.2.1", "") is None
    assert await Sessions(database).open_sessions(verified.user_id) == []


async def test_a_sign_in_waits_for_a_change_in_progress(
    admin: httpx.AsyncClient, database: Database, edge_dsn: str
) -> None:
    await admin.post("/admin/users", json=CLERK)
    verified = await Users(database).by_name("clerk")
    assert verified is not None
    other = await asyncpg.connect(edge_dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("""UPDATE "user" SET roles = '{auditor}' WHERE username = 'clerk'""")

    begun = asyncio.create_task(Sessions(database).begin(verified.user_id, verified.password_hash, "192.0.2.1", ""))
    while not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
        pass
    await transaction.commit()
    await other.close()

    session = await begun
    assert session is not None
    assert session.roles == ("auditor",)
