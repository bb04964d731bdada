"""Sign-in, token refresh, sign-out and rejected tokens."""

import asyncio

import httpx

from chassis.database import Database
from tests.edge.conftest import ADMIN, PASSWORD, Keys

CREDENTIALS = {"username": ADMIN, "password": PASSWORD}


async def test_sign_in_grants_a_bearer_token_for_ten_minutes(client: httpx.AsyncClient) -> None:
    response = await client.post("/auth/login", json=CREDENTIALS)

    assert response.status_code == 200
    grant = response.json()
    assert grant["token_type"] == "Bearer"
    assert grant["expires_in"] == 600
    assert set(grant) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert response.headers["cache-control"] == "private, no-store"


async def test_usernames_are_case_insensitive(client: httpx.AsyncClient) -> None:
    response = await client.post("/auth/login", json={**CREDENTIALS, "username": "ADMIN"})

    assert response.status_code == 200


async def test_wrong_password_and_unknown_user_have_the_same_response(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/auth/login", json={**CREDENTIALS, "password": "guess"})
    unknown = await client.post("/auth/login", json={**CREDENTIALS, "username": "nobody"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json()["reason"] == unknown.json()["reason"] == "TOKEN_INVALID"
    assert wrong.json()["detail"] == unknown.json()["detail"]
    assert wrong.headers["www-authenticate"].startswith("Bearer")


async def test_the_sixth_attempt_after_five_failures_is_429(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post("/auth/login", json={**CREDENTIALS, "password": "guess"})

    response = await client.post("/auth/login", json=CREDENTIALS)

    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"


async def test_refresh_returns_new_tokens_once(client: httpx.AsyncClient) -> None:
    first = (await client.post("/auth/login", json=CREDENTIALS)).json()

    second = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]


async def test_reused_refresh_token_ends_the_whole_family(client: httpx.AsyncClient) -> None:
    first = (await client.post("/auth/login", json=CREDENTIALS)).json()
    second = (await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()

    reused = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert reused.status_code == 401
    assert reused.json()["reason"] == "TOKEN_REVOKED"
    newest = await client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert newest.json()["reason"] == "TOKEN_REVOKED"
    access = await client.get("/admin/users", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert access.json()["reason"] == "TOKEN_REVOKED"


async def test_one_of_two_simultaneous_refreshes_wins(client: httpx.AsyncClient) -> None:
    token = (await client.post("/auth/login", json=CREDENTIALS)).json()["refresh_token"]

    responses = await asyncio.gather(*(client.post("/auth/refresh", json={"refresh_token": token}) for _ in range(2)))

    assert sorted(response.status_code for response in responses) == [200, 401]


async def test_sign_out_revokes_the_token_immediately(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/admin/users")).status_code == 200

    left = await admin.post("/auth/logout")

    assert left.status_code == 204
    rejected = await admin.get("/admin/users")
    assert rejected.status_code == 401
    assert rejected.json()["reason"] == "TOKEN_REVOKED"


async def test_sign_out_with_only_a_refresh_token_ends_its_session(client: httpx.AsyncClient) -> None:
    grant = (await client.post("/auth/login", json=CREDENTIALS)).json()

    await client.post("/auth/logout", json={"refresh_token": grant["refresh_token"]})

    rejected = await client.get("/admin/users", headers={"Authorization": f"Bearer {grant['access_token']}"})
    assert rejected.json()["reason"] == "TOKEN_REVOKED"


async def test_admin_routes_check_permissions_before_the_body(client: httpx.AsyncClient, keys: Keys) -> None:
    token = keys.key.mint(subject="6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", name="visitor")
    headers = {"Authorization": f"Bearer {token}"}

    guest = await client.put("/admin/parts/NO-SUCH/stock", content=b"not json")
    visitor = await client.put("/admin/parts/NO-SUCH/stock", content=b"not json", headers=headers)

    assert (guest.status_code, guest.json()["reason"]) == (401, "TOKEN_MISSING")
    assert (visitor.status_code, visitor.json()["reason"]) == (403, "PERMISSION_MISSING")
    assert visitor.json()["metadata"] == {"permission": "stock:write"}


async def test_token_of_another_issuer_is_rejected(client: httpx.AsyncClient) -> None:
    from chassis.tokens import SigningKey  # noqa: PLC0415

    forged = SigningKey.generate().mint(subject="6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", name="admin", roles=["admin"])

    response = await client.get("/admin/users", headers={"Authorization": f"Bearer {forged}"})

    assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_INVALID")


async def test_expired_token_has_its_own_reason(client: httpx.AsyncClient, keys: Keys) -> None:
    token = keys.key.mint(subject="6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", name="late", ttl_seconds=-60)

    response = await client.get("/admin/users", headers={"Authorization": f"Bearer {token}"})

    assert response.json()["reason"] == "TOKEN_EXPIRED"


async def test_attempts_and_denials_are_security_events(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, database: Database, keys: Keys
) -> None:
    await client.post("/auth/login", json={**CREDENTIALS, "password": "guess"})
    token = keys.key.mint(subject="6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", name="visitor")

    await client.get("/admin/users", headers={"Authorization": f"Bearer {token}"})

    rows = await database.pool.fetch("SELECT kind, username, client_ip FROM security_event ORDER BY security_event_id")
    assert [(row["kind"], row["username"]) for row in rows] == [
        ("login_succeeded", ADMIN),
        ("login_failed", ADMIN),
        ("denied", "visitor"),
    ]
    assert {row["client_ip"] for row in rows} == {"192.0.2.1"}


async def test_denial_of_a_path_with_control_characters_is_recorded(
    client: httpx.AsyncClient, database: Database, keys: Keys
) -> None:
    token = keys.key.mint(subject="6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5", name="visitor")

    response = await client.get("/admin/parts/%00", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 403
    assert await database.pool.fetchval("SELECT count(*) FROM security_event WHERE kind = 'denied'") == 1


async def test_sign_in_without_its_database_is_503_with_retry_after(
    client: httpx.AsyncClient, database: Database
) -> None:
    await database.close()

    response = await client.post("/auth/login", json=CREDENTIALS)

    assert (response.status_code, response.json()["reason"]) == (503, "STORE_UNAVAILABLE")
    assert "retry-after" in response.headers
