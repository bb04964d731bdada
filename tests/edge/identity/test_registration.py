"""Customers register and sign in, with the role customer only."""

import asyncio

import httpx
import pytest

from chassis.database import Database
from edge.http.errors import RegistrationClosed
from edge.identity.lockout import FREE_REGISTRATIONS, Lockout
from edge.identity.passwords import Passwords
from edge.identity.registration import Registration
from edge.identity.security_events import SecurityEvents
from edge.identity.users import Users

CAROL = {"username": "carol", "password": "seven orange tractors"}


async def test_a_customer_registers_and_signs_in(client: httpx.AsyncClient) -> None:
    made = await client.post("/auth/register", json=CAROL)

    assert made.status_code == 201
    assert (made.json()["username"], made.json()["roles"]) == ("carol", ["customer"])
    assert "password" not in made.text
    assert made.headers["cache-control"] == "private, no-store"
    grant = (await client.post("/auth/login", json=CAROL)).json()
    headers = {"Authorization": f"Bearer {grant['access_token']}"}
    assert (await client.get("/admin/users", headers=headers)).status_code == 403


async def test_roles_cannot_be_chosen(client: httpx.AsyncClient) -> None:
    rejected = await client.post("/auth/register", json={**CAROL, "roles": ["admin"]})

    assert rejected.status_code == 400


@pytest.mark.parametrize("name", ["carol", "CAROL", "admin", "Administrator", "anonymous", "system"])
async def test_used_and_reserved_names_have_the_same_response(client: httpx.AsyncClient, name: str) -> None:
    await client.post("/auth/register", json=CAROL)

    rejected = await client.post("/auth/register", json={**CAROL, "username": name})

    assert (rejected.status_code, rejected.json()["reason"]) == (409, "NAME_TAKEN")
    assert rejected.json()["detail"] == f"The name {name} is taken: choose another one."


async def test_one_of_many_parallel_registrations_of_a_name_succeeds(client: httpx.AsyncClient) -> None:
    made = await asyncio.gather(*(client.post("/auth/register", json=CAROL) for _ in range(8)))

    assert sorted(each.status_code for each in made) == [201] + [409] * 7


async def test_registrations_of_an_address_are_bounded(client: httpx.AsyncClient, database: Database) -> None:
    lockout = Lockout(database)
    for _ in range(FREE_REGISTRATIONS):
        await lockout.admit_registration("192.0.2.1")

    rejected = await client.post("/auth/register", json=CAROL)

    assert rejected.status_code == 429
    assert int(rejected.headers["retry-after"]) >= 1
    await lockout.admit_registration("192.0.2.2")


async def test_registration_can_be_switched_off(database: Database) -> None:
    events = SecurityEvents(database)
    closed = Registration(Users(database), Passwords(), Lockout(database), events, is_open=False)

    with pytest.raises(RegistrationClosed):
        await closed.register("carol", CAROL["password"], "192.0.2.1")

    assert await Users(database).by_name("carol") is None


async def test_a_registration_is_a_security_event(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=CAROL)

    (event,) = (await admin.get("/admin/security-events", params={"kind": "user_registered"})).json()["items"]

    assert event["username"] == "carol"
