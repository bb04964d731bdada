"""Password guessing is bounded, also in parallel, and no other client can lock out an account or an address."""

import asyncio

import httpx
import pytest

from chassis.addresses import site_of
from chassis.database import Database
from edge.app import Edge
from edge.identity.lockout import Lockout, delay_seconds, wait_seconds
from tests.edge.conftest import ADMIN, PASSWORD


def client_at(edge: Edge, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=edge.asgi, client=(address, 1234))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://edge/api/v1")


async def sign_in(client: httpx.AsyncClient, username: str = ADMIN, password: str = PASSWORD) -> int:
    return (await client.post("/auth/login", json={"username": username, "password": password})).status_code


async def test_exactly_five_of_120_parallel_wrong_passwords_are_checked(edge: Edge) -> None:
    """Attempts count before their check: otherwise a burst checks more before the first one counts."""
    async with client_at(edge, "192.0.2.7") as client:
        codes = await asyncio.gather(*(sign_in(client, password=f"guess {n}") for n in range(120)))

    assert (codes.count(401), codes.count(429)) == (5, 115)


async def test_parallel_sign_ins_with_the_right_password_all_succeed(edge: Edge) -> None:
    async with client_at(edge, "192.0.2.7") as client:
        codes = await asyncio.gather(*(sign_in(client) for _ in range(20)))

    assert codes == [200] * 20


async def test_two_edges_share_the_count_of_attempts(database: Database) -> None:
    """The count is stored in the database, not in one process."""
    checked = 0

    async def wrong() -> bool:
        nonlocal checked
        checked += 1
        return False

    edges = [Lockout(database), Lockout(database)]
    results = await asyncio.gather(
        *(edges[n % 2].attempt(ADMIN, "192.0.2.7", wrong) for n in range(40)), return_exceptions=True
    )

    assert checked == 5
    assert results.count(False) == 5


@pytest.mark.parametrize("username", ["adm\u0130n", "\uff21dmin", "admi\u0274"])
async def test_only_ascii_letters_are_folded(client: httpx.AsyncClient, username: str) -> None:
    """``adm``, U+0130, ``n`` is not the locked-out name of the administrator."""
    assert await sign_in(client, username) == 401


@pytest.mark.parametrize("spelling", ["admin", "ADMIN", "aDmIn"])
async def test_every_spelling_of_a_name_is_locked_out_together(client: httpx.AsyncClient, spelling: str) -> None:
    for name in ("admin", "ADMIN", "Admin", "aDMIN", "adMin"):
        await sign_in(client, name, "a guess")

    assert await sign_in(client, spelling) == 429


async def test_failures_from_another_address_lock_out_no_user(edge: Edge) -> None:
    """An attacker must not lock out an administrator elsewhere, nor other users at its address."""
    for n in range(4):
        async with client_at(edge, f"203.0.113.{n}") as attacker:
            assert [await sign_in(attacker, password="a guess") for _ in range(6)] == [401] * 5 + [429]
    async with client_at(edge, "203.0.113.1") as neighbour, client_at(edge, "192.0.2.7") as owner:
        other = [await sign_in(neighbour, f"user{n}", "a guess") for n in range(8)]
        own = await sign_in(owner)

    assert other == [401] * 8
    assert own == 200


async def test_failures_from_everywhere_only_delay(database: Database, edge: Edge) -> None:
    await database.pool.execute(
        """INSERT INTO login_attempt (username, client_ip, succeeded)
        SELECT 'admin', '203.0.113.' || n % 250, false FROM generate_series(1, 1000) AS n"""
    )

    delay = await Lockout(database).delay("Admin")
    async with client_at(edge, "192.0.2.7") as owner:
        code = await sign_in(owner)

    assert delay == 2.0
    assert code == 200


async def test_success_at_another_address_resets_no_attempts(edge: Edge) -> None:
    async with client_at(edge, "203.0.113.1") as attacker, client_at(edge, "192.0.2.7") as owner:
        for _ in range(5):
            await sign_in(attacker, password="a guess")
        await sign_in(owner)

        assert await sign_in(attacker, password="a guess") == 429


async def test_success_resets_the_failures_before_it(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        await sign_in(client, password="a guess")
    await sign_in(client)

    assert [await sign_in(client, password="a guess") for _ in range(5)] == [401] * 5


@pytest.mark.parametrize(
    ("failures", "age", "wait"),
    [(4, 0.0, 0.0), (5, 0.0, 4.0), (6, 0.0, 8.0), (7, 1.0, 15.0), (5, 4.0, 0.0), (60, 0.0, 900.0)],
)
def test_each_failure_beyond_the_free_ones_doubles_the_wait(failures: int, age: float, wait: float) -> None:
    assert wait_seconds(failures, 5, age) == wait


def test_the_delay_has_a_bound() -> None:
    assert [delay_seconds(failures) for failures in (19, 20, 21, 24, 1000)] == [0.0, 0.125, 0.25, 2.0, 2.0]


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, site: str) -> None:
    assert site_of(address) == site
