"""Reservations of guests and customers: permissions and owners."""

import uuid
from typing import Any

import httpx
import pytest

from edge.app import Edge
from tests.edge.routes.shop import PART, open_shop, stock

KEY = "3f1c9a52e0b84d7f9a6612c04be8d1aa"
OTHER_KEY = "b07d45e61c2f4e93871ad5520f9c66e4"
OWNER_KEY = "Partstream-Owner-Key"
PASSWORD = "a vase of blue tulips"


def wish(quantity: int = 1, **more: Any) -> dict[str, Any]:
    """Return a body that reserves units of the part."""
    return {"lines": [{"part_id": PART["part_id"], "quantity": quantity}], **more}


def with_key(key: str = KEY, **more: str) -> dict[str, str]:
    """Return the headers of a guest's cart."""
    return {OWNER_KEY: key, **more}


async def customer(admin: httpx.AsyncClient, client: httpx.AsyncClient, name: str = "anna") -> dict[str, str]:
    """Return the headers of a new customer who is signed in."""
    made = await admin.post("/admin/users", json={"username": name, "password": PASSWORD, "roles": ["customer"]})
    assert made.status_code == 201, made.text
    grant = (await client.post("/auth/login", json={"username": name, "password": PASSWORD})).json()
    return {"Authorization": f"Bearer {grant['access_token']}"}


@pytest.fixture
async def stocked(admin: httpx.AsyncClient) -> None:
    """A hundred units of a published part."""
    await open_shop(admin)
    await stock(admin, 100)


@pytest.mark.usefixtures("stocked")
async def test_a_guest_cannot_commit(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """Otherwise any client could reserve all stock and commit it."""
    held = (await client.post("/reservations", json=wish(), headers=with_key())).json()
    address = f"/reservations/{held['reservation_id']}"

    rejected = await client.post(f"{address}/commit", headers=with_key())
    unknown = await client.post(f"/reservations/{uuid.uuid4()}/commit")

    assert (rejected.status_code, rejected.json()["reason"]) == (401, "TOKEN_MISSING")
    assert unknown.status_code == 401
    assert (await client.get(address, headers=with_key())).json()["state"] == "held"
    level = (await admin.get(f"/admin/parts/{PART['part_id']}/stock")).json()["levels"][0]
    assert (level["on_hand"], level["reserved"]) == (100, 1)


@pytest.mark.usefixtures("stocked")
async def test_a_generated_key_is_returned_once(client: httpx.AsyncClient) -> None:
    made = await client.post("/reservations", json=wish())
    key = made.headers[OWNER_KEY]
    address = f"/reservations/{made.json()['reservation_id']}"

    shown = await client.get(address, headers=with_key(key))
    longer = await client.post(f"{address}/extend", json={"ttl_seconds": 60}, headers=with_key(key))

    assert len(key) >= 32
    assert (shown.status_code, longer.status_code) == (200, 200)
    assert all(OWNER_KEY not in response.headers and key not in response.text for response in (shown, longer))
    assert (await client.get(address)).status_code == 404
    assert (await client.get(address, headers=with_key(OTHER_KEY))).status_code == 404


@pytest.mark.usefixtures("stocked")
async def test_a_client_made_key_is_never_returned(client: httpx.AsyncClient) -> None:
    made = await client.post("/reservations", json=wish(), headers=with_key())

    assert made.status_code == 201
    assert OWNER_KEY not in made.headers
    assert KEY not in made.text


@pytest.mark.parametrize("key", ["short", "x" * 31, "x" * 201, "with a space " * 4])
async def test_a_key_that_can_be_guessed_is_rejected(client: httpx.AsyncClient, key: str) -> None:
    response = await client.post("/reservations", json=wish(), headers=with_key(key))

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, OWNER_KEY)
    assert key not in response.text


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("idempotency_key", ["cart-1", "9f4ab1a4-6b1e-4f1e-8f2b-2a8f6f6b8d11"])
async def test_two_carts_may_use_one_idempotency_key(client: httpx.AsyncClient, idempotency_key: str) -> None:
    """The second cart must not receive the reservation of the first, nor a conflict."""
    keys = [KEY, OTHER_KEY, KEY]
    headers = [with_key(key, **{"Idempotency-Key": idempotency_key}) for key in keys]

    held = [await client.post("/reservations", json=wish(), headers=given) for given in headers]
    reused = await client.post("/reservations", json=wish(2), headers=headers[1])
    ids = [response.json()["reservation_id"] for response in held]
    released = [
        await client.post(f"/reservations/{reservation_id}/release", headers=given)
        for reservation_id, given in zip(ids[:2], headers, strict=False)
    ]

    assert [response.status_code for response in held] == [201, 201, 201]
    assert ids[0] == ids[2] != ids[1]
    assert [response.headers.get("Idempotent-Replayed") for response in held] == [None, None, "true"]
    assert (reused.status_code, reused.json()["reason"]) == (422, "REQUEST_ID_REUSED")
    # The same key for another kind of request of the same cart is reuse.
    assert [response.status_code for response in released] == [422, 422]


@pytest.mark.usefixtures("stocked")
async def test_an_idempotency_key_without_account_and_cart_is_malformed(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "cart-1"}
    responses = [await client.post("/reservations", json=wish(), headers=headers)]
    made = (await client.post("/reservations", json=wish(), headers=with_key())).json()
    for action, body in (("release", None), ("extend", {"ttl_seconds": 5})):
        address = f"/reservations/{made['reservation_id']}/{action}"
        responses.append(await client.post(address, json=body, headers=headers))

    assert [response.status_code for response in responses] == [400, 400, 400]
    assert [error["field"] for error in responses[0].json()["errors"]] == [OWNER_KEY]


@pytest.mark.usefixtures("stocked")
async def test_a_customer_has_its_own_reservations(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    anna, bert = await customer(admin, client), await customer(admin, client, "bert")
    held = [(await client.post("/reservations", json=wish(), headers=anna)).json() for _ in range(3)]
    ids = [item["reservation_id"] for item in reversed(held)]

    first = (await client.get("/reservations", headers=anna, params={"page_size": 2})).json()
    second = await client.get("/reservations", headers=anna, params={"page_token": first["next_page_token"]})
    others = (await client.get("/reservations", headers=bert)).json()["items"]
    stranger = await client.post(f"/reservations/{ids[0]}/commit", headers=bert)
    own = await client.post(f"/reservations/{ids[0]}/commit", headers=anna)
    shipped = (await client.get("/reservations", headers=anna, params={"state": "committed"})).json()["items"]

    assert [item["reservation_id"] for item in (*first["items"], *second.json()["items"])] == ids
    assert second.json()["next_page_token"] == ""
    assert others == []
    assert (stranger.status_code, stranger.json()["reason"]) == (404, "RESERVATION_NOT_FOUND")
    assert (own.status_code, own.json()["state"]) == (200, "committed")
    assert [item["reservation_id"] for item in shipped] == ids[:1]


@pytest.mark.usefixtures("stocked")
async def test_a_guest_lists_its_cart_by_its_key(client: httpx.AsyncClient) -> None:
    made = (await client.post("/reservations", json=wish(), headers=with_key())).json()
    await client.post("/reservations", json=wish(), headers=with_key(OTHER_KEY))

    listed = await client.get("/reservations", headers=with_key())
    neither = await client.get("/reservations")

    assert [item["reservation_id"] for item in listed.json()["items"]] == [made["reservation_id"]]
    assert (neither.status_code, neither.json()["reason"]) == (401, "TOKEN_MISSING")


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("first", ["list", "show", "commit", "extend", "create"])
async def test_a_cart_passes_to_the_account_that_has_its_key(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, first: str
) -> None:
    made = (await client.post("/reservations", json=wish(), headers=with_key())).json()
    address = f"/reservations/{made['reservation_id']}"
    anna = await customer(admin, client)
    before = await client.get(address, headers=anna)

    both = {**anna, **with_key()}
    match first:
        case "list":
            response = await client.get("/reservations", headers=both)
        case "show":
            response = await client.get(address, headers=both)
        case "commit":
            response = await client.post(f"{address}/commit", headers=both)
        case "extend":
            response = await client.post(f"{address}/extend", json={"ttl_seconds": 60}, headers=both)
        case _:
            response = await client.post("/reservations", json=wish(), headers=both)

    assert before.status_code == 404
    assert response.status_code in {200, 201}, response.text
    own = (await client.get("/reservations", headers=anna)).json()["items"]
    assert made["reservation_id"] in [item["reservation_id"] for item in own]
    assert (await client.get(address, headers=with_key())).status_code == 404


@pytest.mark.usefixtures("stocked")
async def test_staff_act_for_others(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    made = (await client.post("/reservations", json=wish(), headers=with_key())).json()

    shipped = await admin.post(f"/reservations/{made['reservation_id']}/commit")

    assert (shipped.status_code, shipped.json()["state"]) == (200, "committed")


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        (wish(ttl_seconds=86_400), 422, "FIELD_INVALID", "ttl_seconds"),
        (wish(20_000), 422, "FIELD_INVALID", "lines[0].quantity"),
        ({"lines": [{"part_id": f"p{at}", "quantity": 1} for at in range(51)]}, 422, "FIELD_INVALID", "lines"),
        (wish(51), 409, "RESERVATION_LIMIT", None),
    ],
)
async def test_a_guest_s_cart_is_bounded(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, body: dict[str, Any], status: int, reason: str, field: str
) -> None:
    rejected = await client.post("/reservations", json=body, headers=with_key())

    problem = rejected.json()
    assert (rejected.status_code, problem["reason"]) == (status, reason)
    assert [error["field"] for error in problem.get("errors") or ()] == ([field] if field else [])
    level = (await admin.get(f"/admin/parts/{PART['part_id']}/stock")).json()["levels"][0]
    assert level["reserved"] == 0


@pytest.mark.usefixtures("stocked")
async def test_no_event_contains_a_key_or_its_hash(
    edge: Edge, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Operators read the entries of the change log."""
    made = (await client.post("/reservations", json=wish(), headers=with_key())).json()
    await client.post(f"/reservations/{made['reservation_id']}/release", headers=with_key())

    listed = await admin.get("/admin/events", params={"service": "inventory", "entity": "reservation"})

    assert listed.status_code == 200, listed.text
    assert made["reservation_id"] in listed.text
    owners = [state for item in listed.json()["items"] for state in (item["before"], item["after"]) if state]
    assert owners
    assert all(state["owner"] == "" for state in owners)
    assert KEY not in listed.text


async def test_the_header_is_in_the_document(client: httpx.AsyncClient) -> None:
    document = (await client.get("http://edge/schema/openapi.json")).json()

    paths = {path: item for path, item in document["paths"].items() if "/reservations" in path}
    operations = [operation for item in paths.values() for operation in item.values()]
    assert len(operations) == 6
    for operation in operations:
        (parameter,) = [item for item in operation["parameters"] if item["name"] == OWNER_KEY]
        assert parameter["schema"]["minLength"] == 32
    created = paths["/api/v1/reservations"]["post"]["responses"]["201"]
    assert OWNER_KEY in created["headers"]
