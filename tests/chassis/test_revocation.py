"""A revoked token ends calls and open streams; without an up-to-date list writes are rejected."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from chassis import errors
from chassis.caller import ANONYMOUS, Caller
from chassis.revocation import listing
from chassis.revocation.listing import Revocation, RevocationList
from chassis.server import Server
from chassis.tokens import SigningKey, TokenVerifier
from partstream.inventory.v1 import stock_service_pb2 as messages
from partstream.inventory.v1 import stock_service_pb2_grpc
from tests.chassis.test_server import NAME, failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

USER = "11111111-1111-4111-8111-111111111111"
SESSION = "22222222-2222-4222-8222-222222222222"


class Endless(stock_service_pb2_grpc.InventoryServiceServicer):
    """A service whose streams send one message and stay open."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def GetStock(self, request: object, context: object) -> messages.GetStockResponse:  # noqa: N802
        return messages.GetStockResponse()

    async def AdjustStock(self, request: object, context: object) -> messages.AdjustStockResponse:  # noqa: N802
        return messages.AdjustStockResponse()

    async def WatchStock(self, request: object, context: object) -> AsyncIterator[bytes]:  # type: ignore[override] # noqa: N802
        try:
            yield messages.WatchStockResponse(cursor="first").SerializeToString()
            await asyncio.Event().wait()
        finally:
            self.ended.set()


class Served:
    """The service, its list of revocations, and calls with a token of a session."""

    def __init__(self, port: int, key: SigningKey, service: Endless, revocations: RevocationList) -> None:
        self.key, self.service, self.revocations = key, service, revocations
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = stock_service_pb2_grpc.InventoryServiceStub(self.channel)

    def token(self, **given: Any) -> tuple[tuple[str, str], ...]:
        minted = self.key.mint(subject=USER, name="ada", session_id=SESSION, **given)
        return (("authorization", f"Bearer {minted}"),)

    async def watch(self, metadata: Any) -> Any:
        stream = self.stub.WatchStock(messages.WatchStockRequest(), metadata=metadata)
        await stream.read()
        return stream


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    key, service, revocations = SigningKey.generate(), Endless(), RevocationList()  # type: ignore[abstract] # the other methods are not called
    (folder / "jwks.json").write_text(json.dumps(key.jwks()))
    verifier = TokenVerifier(str(folder / "jwks.json"))
    server = Server(NAME, verifier=verifier, revocations=revocations, pack=lambda _: None, pings=[], has_log=False)
    stock_service_pb2_grpc.add_InventoryServiceServicer_to_server(service, server.grpc_server)
    await server.start("127.0.0.1", 0)
    made = Served(server.port, key, service, revocations)
    try:
        yield made
    finally:
        await made.channel.close()
        await server.stop()


GET, ADJUST = messages.GetStockRequest(part_id="C1"), messages.AdjustStockRequest(part_id="C1", delta=1)
REVOKED = [Revocation("session", SESSION), Revocation("user", USER, time.time() + 3600)]


@pytest.mark.parametrize("revoked", REVOKED, ids=["session", "user"])
async def test_a_revocation_ends_calls_and_open_streams(revoked: Revocation, tmp_path: Path) -> None:
    """An access token was valid for ten minutes after the logout, and an open watch for thirty."""
    async with served(tmp_path) as service:
        service.revocations.confirm()
        metadata = service.token()
        stream, guest = await service.watch(metadata), await service.watch(())
        await service.stub.AdjustStock(ADJUST, metadata=metadata)

        service.revocations.apply([revoked])

        assert type(await failure(stream.read())) is errors.TokenRevoked
        await service.service.ended.wait()
        assert type(await failure(service.stub.AdjustStock(ADJUST, metadata=metadata))) is errors.TokenRevoked
        assert type(await failure(service.stub.GetStock(GET, metadata=metadata))) is errors.TokenRevoked
        assert not guest.done()


async def test_tokens_issued_after_a_change_of_permissions_are_valid(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        service.revocations.confirm()
        changed_at = time.time()

        service.revocations.apply([Revocation("user", USER, changed_at)])

        await service.stub.AdjustStock(ADJUST, metadata=service.token())


async def test_an_outdated_list_rejects_writes_and_serves_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path) as service:
        service.revocations.confirm()
        metadata = service.token()
        stream = await service.watch(metadata)
        await service.stub.AdjustStock(ADJUST, metadata=metadata)

        monkeypatch.setattr(listing, "KNOWN_SECONDS", 0.0)

        error = await failure(service.stub.AdjustStock(ADJUST, metadata=metadata))
        assert (type(error), error.code) == (errors.RevocationUnknown, "UNAVAILABLE")
        await service.stub.GetStock(GET, metadata=metadata)
        assert not stream.done()


async def test_a_service_without_a_list_rejects_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FIRST_SECONDS", 0.01)
    async with served(tmp_path) as service:
        assert (
            type(await failure(service.stub.AdjustStock(ADJUST, metadata=service.token()))) is errors.RevocationUnknown
        )


async def test_a_stream_ends_when_its_token_expires(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        service.revocations.confirm()

        stream = await opened_with_little_time(service)

        assert type(await failure(stream.read())) is errors.TokenExpired


async def opened_with_little_time(service: Served) -> Any:
    """Open a stream whose token expires in a second, or in a few on a loaded machine."""
    for ttl_seconds in (-4, -2, 2):
        with contextlib.suppress(grpc.aio.AioRpcError):
            return await service.watch(service.token(ttl_seconds=ttl_seconds))
    pytest.fail("a stream takes longer to open than its token lasts")


def test_a_revocation_repeated_or_older_changes_nothing() -> None:
    entries = RevocationList()
    calls: list[str] = []
    caller = Caller(USER, "ada", session_id=SESSION, issued_at=100.0)
    with entries.watching(caller, lambda: calls.append("revoked")):
        entries.apply([Revocation("user", USER, 50.0)])
        assert calls == []

        entries.apply(
            [Revocation("user", USER, 150.0), Revocation("user", USER, 150.0), Revocation("user", USER, 50.0)]
        )

    assert calls == ["revoked"]
    assert entries.not_before(USER) == 150.0
    entries.apply([Revocation("session", SESSION)])
    assert calls == ["revoked"]


def test_expired_entries_are_removed_and_the_list_stays_bounded() -> None:
    entries = RevocationList()
    entries.apply(Revocation("session", f"old-{number}", expires_at=1.0) for number in range(5000))
    entries.apply([Revocation("session", SESSION)])

    assert entries.entries() == [Revocation("session", SESSION)]
    entries.check(ANONYMOUS)
