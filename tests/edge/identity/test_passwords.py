"""Passwords: weak ones are rejected, and all Unicode forms of one are equal."""

import unicodedata

import httpx
import pytest
from argon2 import PasswordHasher

from chassis.database import Database

PASSWORD = "straße mit Ümläüten"


async def sign_in(client: httpx.AsyncClient, password: str) -> int:
    return (await client.post("/auth/login", json={"username": "clerk", "password": password})).status_code


@pytest.mark.parametrize("password", ["password1234", " " * 12, "clerkclerkclerk", "short"])
async def test_weak_passwords_are_rejected_by_every_route(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, password: str
) -> None:
    user = (await admin.post("/admin/users", json={"username": "clerk", "password": PASSWORD})).json()

    rejected = [
        await admin.post("/admin/users", json={"username": "clerk", "password": password}),
        await admin.patch(f"/admin/users/{user['user_id']}", json={"password": password}),
        await client.post("/auth/register", json={"username": "clerk", "password": password}),
    ]

    assert [(each.status_code, each.json()["errors"][0]["field"]) for each in rejected] == [(422, "password")] * 3
    assert await sign_in(client, PASSWORD) == 200


async def test_a_password_is_the_same_in_every_unicode_form(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Keyboards of some systems compose an umlaut of two characters."""
    await admin.post("/admin/users", json={"username": "clerk", "password": unicodedata.normalize("NFD", PASSWORD)})

    codes = [await sign_in(client, unicodedata.normalize(form, PASSWORD)) for form in ("NFC", "NFD", "NFKC", "NFKD")]

    assert codes == [200] * 4


async def test_a_hash_from_before_normalisation_still_verifies(client: httpx.AsyncClient, database: Database) -> None:
    typed = unicodedata.normalize("NFD", PASSWORD)
    await database.pool.execute(
        """INSERT INTO "user" (username, password_hash) VALUES ('clerk', $1)""", PasswordHasher().hash(typed)
    )

    assert await sign_in(client, typed) == 200
