"""Every route and RPC as every kind of caller: allowed or rejected as in ``docs/security.md``."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.channels import open_channel
from chassis.revocation.listing import Revocation
from chassis.tokens import SigningKey
from edge.app import Edge
from edge.identity.roles import PERMISSIONS, ROLES
from partstream.changes.v1 import change_log_service_pb2
from partstream.content.v1 import part_service_pb2
from partstream.identity.v1 import revocation_service_pb2
from partstream.inventory.v1 import stock_service_pb2
from tests.edge.conftest import Keys
from tests.edge.routes import access_tables
from tests.edge.routes.access_tables import ANYONE, OWNER, SIGNED_IN

SESSION = "a-session-that-was-ended"
BAD_TOKENS = ("forged", "expired", "revoked")
# Served beside the API; the document of the API does not list itself.
OUTSIDE_THE_DOCUMENT = {"GET /schema", "GET /schema/openapi.json", "GET /schema/assets/{name}", "WS /api/v1/live"}
# Routes that make an account or a token: they never look at one.
BLIND = {f"POST /api/v1/auth/{name}" for name in ("register", "login", "refresh", "session")}
SERVICES = {
    service.full_name: service
    for module in (stock_service_pb2, part_service_pb2, change_log_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}
RPCS = {f"{name}/{method.name}": method for name, service in SERVICES.items() for method in service.methods}
# Fields whose rules the generic filler cannot guess.
FILLED: dict[str, Any] = {
    "part_id": "P-1",
    "location_id": "main",
    "to_location_id": "annex",
    "from_location_id": "main",
    "category_id": "leds",
    "request_id": "4e0f7a51-6f0f-4f6e-9f0a-000000000001",
    "reservation_id": "4e0f7a51-6f0f-4f6e-9f0a-000000000002",
    "owner_key": "k" * 40,
    "title": "A part",
    "name": "a-name",
    "reason": "a test",
    "quantity": 1,
    "delta": 1,
    "version": 1,
    "on_hand": 1,
    "cursor": "x",
}


# What one request alone needs, or must not have: a location is a filter of the staff.
ONLY_FOR = {"cursor": {"ReportPositionRequest"}}
NOT_FOR = {
    "owner_key": {"ListReservationsRequest"},
    "location_id": {"GetStockRequest", "BatchGetStockRequest", "ListStockRequest", "SnapshotStockRequest"},
}


@dataclass(frozen=True, slots=True)
class CallerKind:
    """A kind of caller: its token and its permissions."""

    name: str
    token: str
    permissions: frozenset[str] = frozenset()

    @property
    def is_bad(self) -> bool:
        """Return whether every call must reject its token."""
        return self.name in BAD_TOKENS


def callers(keys: Keys) -> list[CallerKind]:
    """Return a guest, every role, and invalid tokens."""
    kinds = [CallerKind("guest", "")]
    for role, permissions in access_tables.role_permissions().items():
        token = keys.key.mint(subject=str(uuid.uuid4()), name=role, roles=[role], permissions=permissions)
        kinds.append(CallerKind(role, token, permissions))

    def mint(key: SigningKey, **claims: Any) -> str:
        return key.mint(subject=str(uuid.uuid4()), name="admin", roles=["admin"], permissions=PERMISSIONS, **claims)

    kinds += [
        CallerKind("forged", mint(SigningKey.generate())),
        CallerKind("expired", mint(keys.key, ttl_seconds=-60)),
        CallerKind("revoked", mint(keys.key, session_id=SESSION)),
    ]
    return kinds


def expected(kind: CallerKind, needs: str) -> str:
    """Return ``allowed``, ``unauthenticated`` or ``denied``."""
    if kind.is_bad:
        return "unauthenticated"
    if needs == ANYONE or (needs in {SIGNED_IN, OWNER} and kind.token):
        return "allowed"
    if not kind.token:
        return "unauthenticated"
    return "allowed" if needs in kind.permissions else "denied"


@pytest.fixture
async def revoking(edge: Edge) -> Edge:
    """Return an edge with one revoked session."""
    edge.revocations.entries.apply([Revocation("session", SESSION)])
    return edge


def test_roles_are_those_of_the_document() -> None:
    assert {role: set(held) for role, held in ROLES.items()} == {
        role: set(held) for role, held in access_tables.role_permissions().items()
    }
    asked = {*access_tables.needs_of_routes().values(), *access_tables.needs_of_rpcs().values()}
    # Two permissions are asked for by what a request contains: to publish, to act for other owners.
    assert asked - {ANYONE, SIGNED_IN, OWNER, "process"} == PERMISSIONS - {"content:publish", "reservations:manage"}


async def test_every_route_has_a_row(client: httpx.AsyncClient) -> None:
    document = (await client.get("http://edge/schema/openapi.json")).json()
    served = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}

    assert set(access_tables.needs_of_routes()) == served | OUTSIDE_THE_DOCUMENT


def test_every_rpc_has_a_row() -> None:
    identity = {
        f"{service.full_name}/{method.name}"
        for service in revocation_service_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }

    assert set(access_tables.needs_of_rpcs()) == set(RPCS) | identity


async def test_every_route_as_every_caller(revoking: Edge, keys: Keys) -> None:
    wrong = []
    transport = httpx.ASGITransport(app=revoking.asgi, client=("192.0.2.1", 1234))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
        for call, needs in access_tables.needs_of_routes().items():
            method, _, path = call.partition(" ")
            if method == "WS":
                continue
            for kind in callers(keys):
                headers = {"Authorization": f"Bearer {kind.token}"} if kind.token else {}
                response = await client.request(method, _filled(path), headers=headers, json=_body(method))
                if (found := _outcome(response, needs)) != _expected_of_route(kind, call, needs):
                    wrong.append(f"{call} as {kind.name}: {found} ({response.status_code} {response.text[:80]})")

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("service", sorted(SERVICES))
async def test_every_rpc_as_every_caller(service: str, targets: tuple[str, str], keys: Keys) -> None:
    needs_of = {call: needs for call, needs in access_tables.needs_of_rpcs().items() if call.startswith(f"{service}/")}
    address = targets[1] if "content" in service else targets[0]
    wrong = []
    async with open_channel([address]) as channel:
        for call, needs in needs_of.items():
            for kind in callers(keys):
                if kind.name == "revoked":
                    continue  # services without edges follow no revocations: tests/edge/routes/test_revocation.py
                found, detail = await _call(channel, call, kind.token)
                if found != expected(kind, needs):
                    wrong.append(f"{call} as {kind.name}: {found} ({detail})")

    assert not wrong, "\n".join(wrong)


def _expected_of_route(kind: CallerKind, call: str, needs: str) -> str:
    return "allowed" if call in BLIND or not call.partition(" ")[2].startswith("/api/") else expected(kind, needs)


def _outcome(response: httpx.Response, needs: str) -> str:
    reason = response.json().get("reason", "") if "problem+json" in response.headers.get("content-type", "") else ""
    if needs == ANYONE and reason in {"CREDENTIALS_INVALID", "LOGIN_FAILED", "REFRESH_TOKEN_INVALID", "TOKEN_MISSING"}:
        return "allowed"  # the route itself judges what the body brings
    return {401: "unauthenticated", 403: "denied"}.get(response.status_code, "allowed")


def _filled(path: str) -> str:
    filled = re.sub(r"\{(reservation|session|user)_id\}", FILLED["reservation_id"], path).replace("{version}", "1")
    return filled.replace("{", "").replace("}", "")


def _body(method: str) -> dict[str, Any] | None:
    return {} if method in {"POST", "PUT", "PATCH"} else None


async def _call(channel: grpc.aio.Channel, call: str, token: str) -> tuple[str, str]:
    method = RPCS[call]
    request = _request(GetMessageClass(method.input_type)())
    metadata = [("authorization", f"Bearer {token}")] if token else []
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    stub = make(f"/{call}", request_serializer=type(request).SerializeToString)
    try:
        if method.server_streaming:
            stream = stub(request, metadata=metadata, timeout=20)
            await stream.read()
            stream.cancel()
        else:
            await stub(request, metadata=metadata, timeout=20)
    except grpc.aio.AioRpcError as error:
        code = error.code()
        outcomes = {grpc.StatusCode.UNAUTHENTICATED: "unauthenticated", grpc.StatusCode.PERMISSION_DENIED: "denied"}
        return outcomes.get(code, "allowed"), f"{code.name} {error.details()}"
    return "allowed", "OK"


def _request(message: Message, depth: int = 0) -> Message:
    """Fill a request with values that are valid in the contract."""
    kind = message.DESCRIPTOR.name
    for field in message.DESCRIPTOR.fields:
        if kind in NOT_FOR.get(field.name, ()) or kind not in ONLY_FOR.get(field.name, {kind}):
            continue
        if field.name in FILLED and not field.is_repeated and field.message_type is None:
            setattr(message, field.name, FILLED[field.name])
        elif field.message_type is not None and depth < 3:
            _fill_message(message, field, depth)
        elif field.is_repeated and field.name == "part_ids":
            getattr(message, field.name).append("P-1")
    return message


def _fill_message(message: Message, field: Any, depth: int) -> None:
    name = field.message_type.full_name
    if name == "google.protobuf.Duration":
        getattr(message, field.name).seconds = 60
    elif name == "google.protobuf.Timestamp" and field.name == "time":
        getattr(message, field.name).seconds = 1
    elif name.startswith("google."):
        return
    elif field.is_repeated:
        if not (field.message_type.GetOptions().map_entry or field.name in {"images", "price_breaks"}):
            _request(getattr(message, field.name).add(), depth + 1)
    elif field.name in {"part", "category", "location"}:
        _request(getattr(message, field.name), depth + 1)
