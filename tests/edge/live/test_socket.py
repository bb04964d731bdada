"""Live connections as a client meets them: over a real listener, real services and their logs."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import asyncpg
import httpx
import pytest

from changelog import tailer
from edge.live.limits import LiveLimits
from edge.live.socket import OpenSocket
from tests.edge.conftest import ADMIN, PASSWORD, Keys
from tests.edge.live.conftest import LiveClient, LiveServer
from tests.edge.routes.shop import PART, open_shop, stock

PART_ID = PART["part_id"]


@pytest.fixture
async def shop(admin: httpx.AsyncClient) -> dict[str, Any]:
    """A part with ten in stock."""
    await open_shop(admin, "LED-2")
    return await stock(admin, 10)


async def adjust(admin: httpx.AsyncClient, delta: int, part_id: str = PART_ID) -> None:
    body = {"delta": delta, "reason": "count"}
    response = await admin.post(f"/admin/parts/{part_id}/stock/adjust", json=body)
    assert response.status_code == 200, response.text


async def subscribed(client: LiveClient, **options: Any) -> dict[str, Any]:
    frame = await client.ask("subscribe", **{"id": "s1", "parts": [PART_ID], **options})
    assert frame["type"] == "subscribed", frame
    return frame


async def test_write_reaches_the_socket(live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]) -> None:
    client = await live.open()
    snapshot = await subscribed(client)

    await adjust(admin, -3)
    event = await client.hear()

    assert snapshot["parts"] == [
        {
            "part_id": PART_ID,
            "version": 1,
            "available": 10,
            "in_stock": True,
            "low_stock": False,
            "content_version": 1,
        }
    ]
    assert (event["type"], event["part_id"], event["version"], event["available"]) == ("stock", PART_ID, 2, 7)
    assert event["commit_time"].endswith("Z")


async def test_content_reaches_the_socket(live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]) -> None:
    client = await live.open()
    await subscribed(client)

    body = {**PART, "title": "Red LED", "expected_version": 1}
    response = await admin.put(f"/admin/parts/{PART_ID}", json=body)
    event = await client.hear()

    assert response.status_code == 200, response.text
    assert (event["type"], event["version"], event["changed"], event["operation"]) == (
        "content",
        2,
        ["title"],
        "updated",
    )


async def test_category_reaches_the_socket(live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]) -> None:
    client = await live.open()
    await subscribed(client, parts=[], categories=["leds"])

    await adjust(admin, -1)
    heard = [await client.hear()]
    while heard[-1]["version"] < 2:  # the subscription may begin before the part's first stock has come by
        heard.append(await client.hear())

    assert [event["version"] for event in heard] in ([2], [1, 2])
    assert heard[-1]["available"] == 9


async def test_client_resumes_where_it_was(live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]) -> None:
    first = await live.open()
    cursor = (await subscribed(first))["cursor"]
    await first.connection.close()
    await adjust(admin, -1)
    await adjust(admin, -1)

    second = await live.open()
    resumed = await subscribed(second, cursor=cursor, mode="all")

    assert (resumed["recovered"], resumed["parts"]) == (True, [])
    assert [(await second.hear())["available"] for _ in range(2)] == [9, 8]


async def test_staff_see_more_after_signing_in(
    live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]
) -> None:
    client = await live.open()
    token = admin.headers["authorization"].removeprefix("Bearer ")

    authenticated = await client.ask("auth", token=token)
    snapshot = await subscribed(client)
    await adjust(admin, 5)
    event = await client.hear()

    assert (authenticated["type"], authenticated["username"]) == ("authenticated", "admin")
    assert snapshot["parts"][0]["on_hand"] == 10
    assert (event["on_hand"], event["reserved"]) == (15, 0)
    assert [place["location_id"] for place in event["locations"]] == ["main"]


async def test_ping_gets_a_pong(live: LiveServer) -> None:
    client = await live.open()

    assert await client.ask("ping") == {"type": "pong"}


async def test_unsubscribed_part_is_silent(live: LiveServer, admin: httpx.AsyncClient, shop: dict[str, Any]) -> None:
    client = await live.open()
    await subscribed(client)

    assert await client.ask("unsubscribe", id="s1") == {"type": "unsubscribed", "id": "s1"}
    await adjust(admin, 1)

    assert await client.ask("ping") == {"type": "pong"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        '{"op":"dance"}',
        '{"op":"subscribe","id":"s1","parts":["no such id!"]}',
        '{"op":"ping","x":' + "[" * 5_000 + "]" * 5_000 + "}",  # raised RecursionError or passed, by Python version
        '{"op":"ping","x":' + "[" * 17 + "]" * 17 + "}",
        '{"op":"ping","x":"' + '\\"[{' * 1_000,
        b'{"op":"ping"}',
    ],
    ids=["empty", "nonsense", "array", "unknown", "bad-id", "deep", "17-deep", "unterminated", "binary"],
)
async def test_unreadable_message_ends_the_connection(live: LiveServer, text: str | bytes) -> None:
    client = await live.open()
    await client.connection.send(text)

    code, said = await client.closed()

    assert code == 4400
    assert said[-1]["type"] == "error"


@pytest.mark.parametrize(
    "text", ['{"op":"ping","x":' + "[" * 15 + "]" * 15 + "}", '{"op":"ping","x":"' + "[{" * 100 + '"}']
)
async def test_unknown_field_is_ignored(live: LiveServer, text: str) -> None:
    client = await live.open()
    await client.connection.send(text)

    assert (await client.hear())["type"] == "pong"


@pytest.mark.parametrize(
    ("origin", "code"), [("https://evil.example", 4003), ("https://shop.example", None), ("", None)]
)
async def test_only_our_pages_may_open_sockets(live: LiveServer, origin: str, code: int | None) -> None:
    client = await live.open(origin=origin or None)

    if code is None:
        assert (await client.ask("ping"))["type"] == "pong"
    else:
        assert (await client.closed())[0] == code


async def test_page_of_our_own_host_may_open_sockets(live: LiveServer) -> None:
    client = await live.open(origin=f"http://127.0.0.1:{live.port}")

    assert (await client.ask("ping"))["type"] == "pong"


async def test_bad_token_is_rejected_and_closes_a_new_connection(live: LiveServer) -> None:
    client = await live.open()
    refused = await client.ask("auth", token="nonsense")
    at_the_door = await live.open(additional_headers={"Authorization": "Bearer nonsense"})

    assert (refused["type"], refused["reason"]) == ("error", "TOKEN_INVALID")
    assert (await at_the_door.closed())[0] == 4001


async def test_staff_whose_token_ends_are_closed(live: LiveServer, keys: Keys) -> None:
    token = keys.key.mint(
        subject="00000000-0000-0000-0000-000000000001", name="ann", permissions=["stock:read"], ttl_seconds=1
    )
    client = await live.open()
    await client.ask("auth", token=token)

    code, said = await client.closed()

    assert (code, said[-1]["reason"]) == (4001, "TOKEN_EXPIRED")


async def test_staff_whose_session_was_ended_are_closed(
    live: LiveServer, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.live.socket.RECHECK_SECONDS", 3600.0)
    client = await live.open()
    await client.ask("auth", token=admin.headers["authorization"].removeprefix("Bearer "))

    await admin.post("/auth/logout")
    code, said = await client.closed()

    assert (code, said[-1]["reason"]) == (4001, "TOKEN_REVOKED")


async def test_signed_in_browser_gets_staff_frames_until_it_signs_out(
    live: LiveServer, client: httpx.AsyncClient, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.live.socket.RECHECK_SECONDS", 3600.0)
    last_serial = await client.post("/auth/session", json={"username": ADMIN, "password": PASSWORD})
    cookie = last_serial.headers["set-cookie"].partition(";")[0]
    socket = await live.open(additional_headers={"Cookie": cookie})

    snapshot = await subscribed(socket)
    headers = {"Cookie": cookie, "X-CSRF-Token": last_serial.json()["csrf_token"]}
    ended = await client.delete("/auth/session", headers=headers)
    code, _ = await socket.closed()

    assert ended.status_code == 204, ended.text
    assert snapshot["parts"][0]["on_hand"] == 10
    assert code == 4001


async def test_browser_with_an_old_cookie_is_a_guest(live: LiveServer, shop: dict[str, Any]) -> None:
    client = await live.open(additional_headers={"Cookie": "partstream_session=old.cookie"})

    await client.say("subscribe", id="s1", parts=[PART_ID])
    known, snapshot = await client.hear(), await client.hear()

    assert (known["type"], known["reason"]) == ("error", "TOKEN_INVALID")
    assert "on_hand" not in snapshot["parts"][0]


async def test_guest_whose_token_ends_stays_connected(live: LiveServer, keys: Keys, shop: dict[str, Any]) -> None:
    token = keys.key.mint(subject="00000000-0000-0000-0000-000000000001", name="ann", ttl_seconds=1)
    client = await live.open()
    await client.ask("auth", token=token)

    over = await client.hear()

    assert (over["type"], over["reason"]) == ("error", "TOKEN_EXPIRED")
    assert (await subscribed(client))["id"] == "s1"


async def test_requests_beyond_a_limit_are_rejected_with_a_message(live: LiveServer) -> None:
    client = await live.open()

    many = await client.ask("subscribe", id="s1", parts=[f"P{number}" for number in range(1001)])
    none = await client.ask("subscribe", id="s1")

    assert (many["type"], many["reason"], many["id"]) == ("error", "LIMIT_REACHED", "s1")
    assert none["reason"] == "FIELD_INVALID"


async def test_flood_of_messages_ends_the_connection(live: LiveServer) -> None:
    client = await live.open()
    for _ in range(LiveLimits().message_burst + 50):
        await client.say("ping")

    code, said = await client.closed()

    assert (code, said[-1]["reason"]) == (4009, "LIMIT_REACHED")


@pytest.mark.parametrize(("letter", "size"), [("x", 1), ("🜁", 4)])
async def test_huge_message_ends_the_connection(live: LiveServer, letter: str, size: int) -> None:
    client = await live.open()
    await client.connection.send(letter * (LiveLimits().message_bytes // size + 1))

    assert (await client.closed())[0] == 4009


async def test_shutdown_closes_with_1012(live: LiveServer, shop: dict[str, Any]) -> None:
    client = await live.open()
    await subscribed(client)

    draining = asyncio.create_task(live.edge.drain())
    code, said = await client.closed()
    await draining

    assert (code, said[-1]["reason"]) == (1012, "DRAINING")


async def test_direct_sql_reaches_the_socket_without_the_poll(
    live: LiveServer, inventory_dsn: str, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)
    client = await live.open()
    await subscribed(client)
    connection = await asyncpg.connect(inventory_dsn)

    # Several, because a poll that was due before may bring the first.
    for on_hand in (77, 78, 79):
        await connection.execute("UPDATE stock_level SET on_hand = $1 WHERE part_id = $2", on_hand, PART_ID)
        async with asyncio.timeout(20):
            assert (await client.hear())["available"] == on_hand
    await connection.close()


async def test_closed_connection_leaves_nothing_for_the_garbage_collector(
    live: LiveServer, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr(OpenSocket, "__del__", lambda _: ended.set(), raising=False)
    client = await live.open()
    await subscribed(client)
    gc.collect()
    gc.disable()
    try:
        await client.connection.close()
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        gc.enable()
