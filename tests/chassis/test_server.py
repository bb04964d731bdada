"""A server's border, over a real channel: errors survive the wire, rules and tokens are checked, health follows."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from chassis import errors
from chassis import interceptor as border
from chassis.addresses import PortTaken
from chassis.call_facts import peer_address
from chassis.caller import current_request, require
from chassis.channels import open_channel
from chassis.errors import FieldViolation, PartstreamError, ResourceRef, error_classes
from chassis.revocation.listing import RevocationList
from chassis.rich_status import from_rpc_error
from chassis.server import LOG_SERVICE, Server
from chassis.tokens import SigningKey, TokenVerifier
from partstream.inventory.v1 import stock_service_pb2 as messages
from partstream.inventory.v1 import stock_service_pb2_grpc
from partstream.inventory.v1.stock_pb2 import StockLevel

NAME = "partstream.inventory.v1.InventoryService"
CLASSES = sorted((cls for cls in error_classes() if cls.__module__ == errors.__name__), key=lambda cls: cls.reason)


class Probe(stock_service_pb2_grpc.InventoryServiceServicer):
    """Answers with what the border made of a call; raises what it is told to."""

    def __init__(self) -> None:
        self.to_raise: Exception | None = None
        self.drained = asyncio.Event()
        self.given_up, self.may_end = asyncio.Event(), asyncio.Event()

    async def BatchGetStock(self, request: object, context: object) -> messages.BatchGetStockResponse:  # noqa: N802
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
            await self.may_end.wait()  # as a connection is kept until a database that hangs has answered
        raise AssertionError

    async def GetStock(self, request: messages.GetStockRequest, context: object) -> messages.GetStockResponse:  # noqa: N802
        if self.to_raise is not None:
            raise self.to_raise
        caller = current_request().caller
        return messages.GetStockResponse(revision_token=f"{caller.username}@{caller.client_ip}")

    async def ListMovements(self, request: object, context: object) -> messages.ListMovementsResponse:  # noqa: N802
        require("stock:read")
        return messages.ListMovementsResponse()

    async def WatchStock(self, request: object, context: object) -> AsyncIterator[bytes]:  # type: ignore[override] # noqa: N802
        yield messages.WatchStockResponse(cursor="first").SerializeToString()
        await self.drained.wait()
        raise errors.Draining("The server is being replaced.")


class Running:
    """A server with its probe, a stub, and a key that it trusts."""

    def __init__(self, server: Server, probe: Probe, key: SigningKey, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.probe = probe
        self.key = key
        self.channel = channel
        self.stub = stock_service_pb2_grpc.InventoryServiceStub(channel)
        self.away = False
        self.trouble: Exception = errors.StoreUnavailable("away")

    async def ping(self) -> None:
        if self.away:
            raise self.trouble


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    key = SigningKey.generate()
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    probe = Probe()  # type: ignore[abstract] # the other methods are not called
    holder: list[Running] = []

    async def ping() -> None:
        await holder[0].ping()

    server = Server(
        NAME,
        verifier=TokenVerifier(str(jwks)),
        revocations=RevocationList(followed=False),
        pack=lambda _: None,
        pings=[ping],
    )
    stock_service_pb2_grpc.add_InventoryServiceServicer_to_server(probe, server.grpc_server)
    holder.append(Running(server, probe, key, grpc.aio.insecure_channel("localhost:0")))
    await server.start("127.0.0.1", 0)
    channel = open_channel([f"127.0.0.1:{server.port}"])
    holder[0].channel, holder[0].stub = channel, stock_service_pb2_grpc.InventoryServiceStub(channel)
    try:
        yield holder[0]
    finally:
        await channel.close()
        await server.stop()


async def failure(call: Awaitable[object]) -> PartstreamError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc_error(raised.value)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.reason)
async def test_every_error_survives_the_wire_with_all_it_carries(cls: type[PartstreamError], tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        sent = cls(
            "what went wrong",
            metadata={"key": "value"},
            fields=[FieldViolation("a.b[1]", "is wrong")],
            resource=ResourceRef("part", "C1"),
            preconditions=[FieldViolation("C2", "depends")],
            retry_after_seconds=0.25,
            current=StockLevel(part_id="C1", version=7),
        )
        service.probe.to_raise = sent

        got = await failure(service.stub.GetStock(messages.GetStockRequest(part_id="C1")))

        assert type(got) is cls
        for name in ("code", "message", "metadata", "fields", "resource", "preconditions", "retry_after_seconds"):
            assert getattr(sent, name) == getattr(got, name), name
        assert sent.current == got.current


async def test_an_unexpected_fault_tells_nothing_of_its_inside(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        service.probe.to_raise = RuntimeError("SELECT secret FROM password")

        got = await failure(service.stub.GetStock(messages.GetStockRequest(part_id="C1")))

        assert isinstance(got, errors.InternalFault)
        assert "secret" not in got.message


async def test_a_call_without_a_deadline_is_answered_in_time_whatever_it_clings_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a database that hung, callers were told after 40 s that their 10 s had passed."""
    monkeypatch.setattr(border, "DEFAULT_DEADLINE_SECONDS", 0.05)
    async with running(tmp_path) as service:
        request = messages.BatchGetStockRequest(part_ids=["A"])

        refused = await failure(service.stub.BatchGetStock(request))

        assert type(refused) is errors.DeadlinePassed
        assert service.probe.given_up.is_set()
        service.probe.may_end.set()


async def test_a_broken_rule_names_the_field(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        got = await failure(service.stub.BatchGetStock(messages.BatchGetStockRequest(part_ids=["ok", "not ok"])))

        assert isinstance(got, errors.FieldInvalid)
        assert [field.path for field in got.fields] == ["part_ids[1]"]


async def test_a_token_makes_the_caller_and_none_makes_it_anonymous(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        token = service.key.mint(subject="11111111-1111-4111-8111-111111111111", name="ada")
        metadata = (("authorization", f"Bearer {token}"),)

        known = await service.stub.GetStock(messages.GetStockRequest(part_id="C1"), metadata=metadata)
        unknown = await service.stub.GetStock(messages.GetStockRequest(part_id="C1"))

        assert known.revision_token == "ada@127.0.0.1"
        assert unknown.revision_token == "anonymous@127.0.0.1"  # it calls for nobody else


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:50051", "10.1.2.3"),
        ("ipv6:%5B2001:db8::7%5D:50051", "2001:db8::7"),
        ("ipv6:[::1]:50051", "::1"),
        ("unix:/tmp/socket", ""),
    ],
)
def test_a_peer_has_an_address(peer: str, address: str) -> None:
    assert peer_address(peer) == address


async def test_bad_tokens_are_refused_each_with_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        subject = "11111111-1111-4111-8111-111111111111"
        expired = service.key.mint(subject=subject, name="ada", ttl_seconds=-60)
        foreign = SigningKey.generate().mint(subject=subject, name="ada")
        for header, reason in (
            (f"Bearer {expired}", errors.TokenExpired),
            (f"Bearer {foreign}", errors.TokenInvalid),
            ("Bearer x.y.z", errors.TokenInvalid),
            ("Basic abc", errors.TokenInvalid),
        ):
            call = service.stub.GetStock(messages.GetStockRequest(part_id="C1"), metadata=(("authorization", header),))
            assert type(await failure(call)) is reason


async def test_a_missing_permission_differs_from_a_missing_token(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        token = service.key.mint(subject="11111111-1111-4111-8111-111111111111", name="ada")
        request = messages.ListMovementsRequest(part_id="C1")

        nobody = await failure(service.stub.ListMovements(request))
        ada = await failure(service.stub.ListMovements(request, metadata=(("authorization", f"Bearer {token}"),)))

        assert type(nobody) is errors.TokenMissing
        assert type(ada) is errors.PermissionMissing
        assert ada.metadata["permission"] == "stock:read"


@pytest.mark.parametrize("name", ["", NAME, LOG_SERVICE])
@pytest.mark.parametrize("trouble", [errors.StoreUnavailable("away"), RuntimeError("what nobody foresaw")])
async def test_health_follows_the_dependencies(name: str, trouble: Exception, tmp_path: Path) -> None:
    """A ping that failed in an unforeseen way ended the watch over health: it said for ever what it had said last."""
    async with running(tmp_path) as service:
        service.trouble = trouble
        health = health_pb2_grpc.HealthStub(service.channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service=name))
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING

        service.away = True
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING

        service.away = False
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        watching.cancel()


async def test_a_stream_ends_with_draining_when_the_server_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        stream = service.stub.WatchStock(messages.WatchStockRequest())
        opening = await stream.read()
        assert isinstance(opening, messages.WatchStockResponse)

        async def drain() -> None:
            service.probe.drained.set()

        stopping = asyncio.ensure_future(service.server.stop(drain))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            while await stream.read() is not grpc.aio.EOF:
                pass
        await stopping

        assert type(from_rpc_error(raised.value)) is errors.Draining


def _stream(method: str, channel: grpc.aio.Channel) -> Any:
    return channel.stream_stream(
        f"/{method}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_every_service_under_both_of_its_names(version: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        asking = _stream(f"grpc.reflection.{version}.ServerReflection", service.channel)

        await asking.write(reflection_pb2.ServerReflectionRequest(list_services="*"))
        listed = {found.name for found in (await asking.read()).list_services_response.service}
        for name in listed:
            await asking.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
            answer = await asking.read()
            assert answer.HasField("file_descriptor_response"), name
        await asking.done_writing()

    assert {NAME, LOG_SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= listed


@pytest.mark.parametrize("method", ["GetStock", "WatchStock"])
@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no message", "no text"])
async def test_bytes_that_are_no_message_are_refused_in_our_words(method: str, raw: bytes, tmp_path: Path) -> None:
    """The answer was UNKNOWN, with what Python's protobuf had said and without a reason."""
    async with running(tmp_path) as service:
        channel: Any = service.channel
        path = f"/{NAME}/{method}"
        called = channel.unary_unary(path)(raw) if method == "GetStock" else channel.unary_stream(path)(raw).read()

        refused = await failure(called)

    assert type(refused) is errors.FieldInvalid
    assert "Error parsing" not in refused.message


async def test_reflection_lists_the_service(tmp_path: Path) -> None:
    async with running(tmp_path) as service:

        def listed() -> list[str]:
            with grpc.insecure_channel(f"127.0.0.1:{service.server.port}") as channel:
                return list(ProtoReflectionDescriptorDatabase(channel).get_services())

        assert NAME in await asyncio.to_thread(listed)


async def test_a_port_that_is_taken_is_said_plainly(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        other = Server(
            NAME, verifier=TokenVerifier(""), revocations=RevocationList(followed=False), pack=lambda _: None, pings=[]
        )

        with pytest.raises(PortTaken, match="is in use"):
            await other.start("127.0.0.1", service.server.port)
        await other.grpc_server.stop(0)


async def test_refusals_are_worth_a_line_and_calls_that_went_well_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "partstream.calls")
    async with running(tmp_path) as service:
        await service.stub.GetStock(messages.GetStockRequest(part_id="C1"))
        await failure(service.stub.ListMovements(messages.ListMovementsRequest(part_id="C1")))
        watch = service.stub.WatchStock(messages.WatchStockRequest())
        await watch.read()
        watch.cancel()

    assert [record.getMessage().split("/")[-1] for record in caplog.records if record.name == "partstream.calls"] == [
        "ListMovements UNAUTHENTICATED"
    ]
