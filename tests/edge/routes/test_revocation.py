"""Ended sessions, disabled accounts and removed roles are effective everywhere within a second.

Both services follow two edges over gRPC; what one edge does, the other and the services know.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import httpx
import pytest

import content_svc.app
import content_svc.settings
import inventory_svc.app
import inventory_svc.settings
from chassis.channels import open_channel
from chassis.errors import RevocationUnknown, TokenRevoked
from chassis.process_keys import entry
from chassis.rich_status import from_rpc_error
from chassis.tokens import SigningKey
from edge.app import Edge
from edge.settings import EdgeSettings
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack.servers.ports import free_port
from tests.edge.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from chassis.database import Database
    from tests.edge.conftest import Keys
    from tests.edge.identity.operator_command import OperatorCommand

BOUND_SECONDS = 1.0
CLERK = {"username": "clerk", "password": PASSWORD, "roles": ["stock_manager"]}


@dataclass
class World:
    """Two edges, one of each service, and an administrator."""

    edges: list[Edge]
    inventory: inventory_svc.app.App
    admin: httpx.AsyncClient
    stub: Any
    clerk_id: str = ""

    def client(self, edge: int, token: str = "") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.edges[edge].asgi, client=("192.0.2.1", 1234))  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://edge/api/v1", headers=headers)

    async def sign_in(self, edge: int) -> Clerk:
        async with self.client(edge) as guest:
            grant = (await guest.post("/auth/login", json={k: CLERK[k] for k in ("username", "password")})).json()
        return Clerk(self, grant["access_token"], grant["refresh_token"])


@dataclass
class Clerk:
    """A signed-in stock manager, by REST and gRPC."""

    world: World
    token: str
    refresh_token: str

    async def write(self) -> None:
        request = pb.SetStockRequest(
            part_id="R1", location_id="main", on_hand=1, unconditional=True, allow_missing=True
        )
        await self.world.stub.SetStock(request, metadata=(("authorization", f"Bearer {self.token}"),))

    async def watch(self) -> Any:
        stream = self.world.stub.WatchStock(
            pb.WatchStockRequest(), metadata=(("authorization", f"Bearer {self.token}"),)
        )
        await stream.read()
        return stream

    async def status(self, edge: int) -> int:
        async with self.world.client(edge, self.token) as client:
            return (await client.get("/admin/locations")).status_code


async def ended(call: Awaitable[Any]) -> Exception:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def rejected_within_a_second(clerk: Clerk, stream: Any, since: float) -> None:
    """Wait until the open stream ends, and calls by gRPC and by REST at both edges are rejected."""
    assert isinstance(await ended(stream.read()), TokenRevoked)
    assert time.monotonic() - since < BOUND_SECONDS
    assert isinstance(await ended(clerk.write()), TokenRevoked)
    assert [await clerk.status(0), await clerk.status(1)] == [401, 401]
    assert time.monotonic() - since < BOUND_SECONDS


@pytest.fixture
async def world(
    database: Database,
    trail: Database,
    edge_dsn: str,
    audit_dsn: str,
    inventory_dsn: str,
    content_dsn: str,
    keys: Keys,
    tmp_path: Path,
) -> AsyncIterator[World]:
    ports = [free_port(), free_port()]
    credential, file, processes = SigningKey.generate(), tmp_path / "service.pem", tmp_path / "all.json"
    file.write_bytes(credential.pem())
    listed = [entry(keys.credential.jwk, "edge"), entry(credential.jwk, "inventory")]
    processes.write_text(json.dumps({"keys": listed}))
    shared: dict[str, Any] = {
        "jwks": str(keys.jwks),
        "process_keys": str(processes),
        "port": 0,
        "revocation_targets": tuple(f"127.0.0.1:{port}" for port in ports),
        "credential_file": file,
    }
    async with contextlib.AsyncExitStack() as stack:
        inventory = await inventory_svc.app.start(inventory_svc.settings.Settings(database_url=inventory_dsn, **shared))
        stack.push_async_callback(inventory.stop)
        content = await content_svc.app.start(content_svc.settings.Settings(database_url=content_dsn, **shared))
        stack.push_async_callback(content.stop)
        edges = []
        for port in ports:
            settings = EdgeSettings(
                database_url=edge_dsn,
                audit_database_url=audit_dsn,
                inventory_targets=(f"127.0.0.1:{inventory.server.port}",),
                content_targets=(f"127.0.0.1:{content.server.port}",),
                signing_key_file=keys.file,
                jwks=str(keys.jwks),
                process_keys=str(processes),
                credential_file=keys.credential_file,
                identity_port=port,
            )
            edge = Edge(settings, database, trail)
            edge.start()
            stack.push_async_callback(edge.close)
            await edge.revocation_server.start("127.0.0.1", port)
            edges.append(edge)
        channel = await stack.enter_async_context(open_channel([f"127.0.0.1:{inventory.server.port}"]))
        made = World(edges, inventory, httpx.AsyncClient(), InventoryServiceStub(channel))
        async with made.client(0) as guest:
            grant = (await guest.post("/auth/login", json={"username": "admin", "password": PASSWORD})).json()
        made.admin = await stack.enter_async_context(made.client(0, grant["access_token"]))
        created = await made.admin.post("/admin/users", json=CLERK)
        made.clerk_id = created.json()["user_id"]
        async with asyncio.timeout(20):
            await inventory.revocations.until_confirmed()
        yield made


def by_admin(action: Callable[[World, Clerk], Awaitable[httpx.Response]]) -> Any:
    return pytest.param(action, id=action.__name__)


async def log_out(world: World, clerk: Clerk) -> httpx.Response:
    async with world.client(1, clerk.token) as client:
        return await client.post("/auth/logout")


async def disable(world: World, clerk: Clerk) -> httpx.Response:
    return await world.admin.patch(f"/admin/users/{world.clerk_id}", json={"disabled": True})


async def take_role(world: World, clerk: Clerk) -> httpx.Response:
    return await world.admin.patch(f"/admin/users/{world.clerk_id}", json={"roles": ["customer"]})


async def end_session(world: World, clerk: Clerk) -> httpx.Response:
    session = next(
        item["session_id"]
        for item in (await world.admin.get("/admin/sessions")).json()["items"]
        if item["username"] == "clerk"
    )
    return await world.admin.delete(f"/admin/sessions/{session}")


@pytest.mark.parametrize("act", [by_admin(action) for action in (log_out, disable, take_role, end_session)])
async def test_every_kind_of_revocation_is_effective_everywhere(
    world: World, act: Callable[[World, Clerk], Awaitable[httpx.Response]]
) -> None:
    """Neither writes over gRPC nor open watches outlive the token."""
    clerk = await world.sign_in(0)
    await clerk.write()
    stream = await clerk.watch()
    began = time.monotonic()

    response = await act(world, clerk)

    assert response.status_code in {200, 204}, response.text
    await rejected_within_a_second(clerk, stream, began)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE \"user\" SET roles = '{customer}' WHERE username = 'clerk'",
        "UPDATE \"user\" SET disabled_at = now() WHERE username = 'clerk'",
        "DELETE FROM \"user\" WHERE username = 'clerk'",
        "UPDATE session SET revoked_at = now() WHERE revoked_at IS NULL",
        "DELETE FROM session",
    ],
)
async def test_changes_by_sql_revoke_as_well(world: World, edge_dsn: str, statement: str) -> None:
    clerk = await world.sign_in(0)
    stream = await clerk.watch()
    connection = await asyncpg.connect(edge_dsn)
    began = time.monotonic()

    await connection.execute(statement)

    assert isinstance(await ended(stream.read()), TokenRevoked)
    assert time.monotonic() - began < BOUND_SECONDS
    await connection.close()


async def test_an_operator_s_reset_of_a_password_revokes(world: World, operator: OperatorCommand) -> None:
    clerk = await world.sign_in(0)
    stream = await clerk.watch()

    done = await operator("users", "reset-password", "clerk")

    assert done.code == 0, done.err
    assert isinstance(await ended(stream.read()), TokenRevoked)
    assert isinstance(await ended(clerk.write()), TokenRevoked)


async def test_a_user_with_changed_roles_can_sign_in_again_immediately(world: World) -> None:
    """The new token must not count as older than the change, even in the same second."""
    await world.sign_in(0)
    await world.admin.patch(f"/admin/users/{world.clerk_id}", json={"roles": ["stock_manager", "support"]})

    again = await world.sign_in(1)

    await again.write()
    assert [await again.status(0), await again.status(1)] == [200, 200]


async def test_services_follow_another_edge_and_reject_writes_without_any(world: World) -> None:
    clerk = await world.sign_in(0)
    for edge in world.edges:
        edge.revocations.drain()
        await edge.revocation_server.stop()
    await clerk.write()  # for ten seconds what was heard last is recent enough
    world.inventory.revocations._confirmed_at -= 10.0

    refused = await ended(clerk.write())

    assert isinstance(refused, RevocationUnknown)
    await world.stub.ListStock(pb.ListStockRequest())


async def test_only_processes_follow_revocations(world: World) -> None:
    from partstream.identity.v1.revocation_service_pb2 import WatchRevocationsRequest  # noqa: PLC0415
    from partstream.identity.v1.revocation_service_pb2_grpc import RevocationServiceStub  # noqa: PLC0415

    clerk = await world.sign_in(0)
    async with open_channel([f"127.0.0.1:{world.edges[0].revocation_server.port}"]) as channel:
        stub: Any = RevocationServiceStub(channel)
        for metadata, code in (
            ((), grpc.StatusCode.UNAUTHENTICATED),
            ((("authorization", f"Bearer {clerk.token}"),), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.WatchRevocations(WatchRevocationsRequest(), metadata=metadata).read()
            assert caught.value.code() is code


async def test_a_revoked_key_of_a_process_is_rejected(world: World, keys: Keys, operator: OperatorCommand) -> None:
    token = keys.credential.mint(subject="11111111-1111-4111-8111-111111111111", name="edge")
    stream = world.stub.WatchStock(pb.WatchStockRequest(), metadata=(("authorization", f"Bearer {token}"),))
    await stream.read()

    done = await operator("revoke-key", keys.credential.key_id)

    assert done.code == 0, done.err
    assert isinstance(await ended(stream.read()), TokenRevoked)


async def test_revocation_checks_need_no_query(world: World, database: Database) -> None:
    """The edge checks sessions in memory."""
    clerk = await world.sign_in(0)
    async with world.client(0, clerk.token) as by_token, world.client(0) as by_cookie:
        opened = await by_cookie.post("/auth/session", json={"username": "clerk", "password": PASSWORD})
        by_cookie.cookies.update(opened.cookies)
        by_cookie.headers["Cookie"] = opened.headers["set-cookie"].partition(";")[0]
        for client in (by_token, by_cookie):
            assert (await client.get("/auth/session")).json()["username"] == "clerk"

        def fail(*_: Any, **__: Any) -> None:
            message = "a query was made"
            raise AssertionError(message)

        with pytest.MonkeyPatch.context() as patch:
            for name in ("fetchval", "fetchrow", "fetch", "execute", "acquire"):
                patch.setattr(type(database.pool), name, fail)
            for client in (by_token, by_cookie):
                assert (await client.get("/auth/session")).json()["username"] == "clerk"
