"""Certificates: wrong ones are named before anything starts, right ones encrypt both sides of gRPC."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from chassis.channels import open_channel
from chassis.revocation.listing import RevocationList
from chassis.server import Server
from chassis.settings import SettingsError, load
from chassis.tls import ClientTls, GrpcClientSettings, GrpcServerSettings, HttpTlsSettings, ServerTls
from chassis.tokens import TokenVerifier
from tests.harness.certificates import Authority, Certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "partstream.inventory.v1.InventoryService"
GRPC = "PARTSTREAM_GRPC_TLS_"
LIST_SERVICES = ServerReflectionRequest(list_services="*").SerializeToString()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own(authority: Authority) -> Certificate:
    return authority.issue("server")


@asynccontextmanager
async def serving(host: str, tls: ServerTls | None, reflection: str = "auto") -> AsyncIterator[Server]:
    revocations = RevocationList(followed=False)
    server = Server(NAME, verifier=TokenVerifier(""), revocations=revocations, pack=lambda _: None, pings=[])
    await server.start(host, 0, tls, reflection=reflection)
    try:
        yield server
    finally:
        await server.stop()


async def outcome(targets: list[str], tls: ClientTls | None) -> str:
    """``SERVING``, or the status code of the failure."""
    async with open_channel(targets, tls=tls) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            found = await stub.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=20)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(found.status))


def problems(settings: type[object], **environment: str | Path) -> str:
    with pytest.raises(SettingsError) as raised:
        load(settings, {name: str(value) for name, value in environment.items()})
    (line,) = raised.value.problems
    return line


async def test_a_service_with_a_certificate_serves_only_those_who_check_it(
    authority: Authority, own: Certificate, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "another-authority")
    async with serving("127.0.0.1", ServerTls(own.certificate, own.key)) as server:
        target = f"127.0.0.1:{server.port}"

        assert await outcome([target], ClientTls(authority.certificate)) == "SERVING"
        assert await outcome([target, target], ClientTls(authority.certificate)) == "SERVING"
        assert await outcome([target], ClientTls(other.certificate)) == "UNAVAILABLE"
        assert await outcome([target], None) == "UNAVAILABLE"


async def test_a_service_with_a_client_authority_serves_only_callers_of_that_authority(
    authority: Authority, own: Certificate, tmp_path: Path
) -> None:
    caller = authority.issue("caller")
    stranger = Authority(tmp_path, "another-authority").issue("stranger")
    async with serving("127.0.0.1", ServerTls(own.certificate, own.key, authority.certificate)) as server:
        target = f"127.0.0.1:{server.port}"
        ours = ClientTls(authority.certificate, caller.certificate, caller.key)
        theirs = ClientTls(authority.certificate, stranger.certificate, stranger.key)

        assert await outcome([target], ours) == "SERVING"
        assert await outcome([target], theirs) == "UNAVAILABLE"
        assert await outcome([target], ClientTls(authority.certificate)) == "UNAVAILABLE"


def test_settings_that_fit_give_both_sides(authority: Authority, own: Certificate) -> None:
    environment = {
        f"{GRPC}CERT": str(own.certificate),
        f"{GRPC}KEY": str(own.key),
        f"{GRPC}CLIENT_CA": str(authority.certificate),
        f"{GRPC}CA": str(authority.certificate),
        f"{GRPC}CLIENT_CERT": str(own.certificate),
        f"{GRPC}CLIENT_KEY": str(own.key),
    }

    assert load(GrpcServerSettings, environment).grpc_server_tls == ServerTls(
        own.certificate, own.key, authority.certificate
    )
    assert load(GrpcClientSettings, environment).grpc_tls == ClientTls(authority.certificate, own.certificate, own.key)
    assert load(GrpcServerSettings, {}).grpc_server_tls is None
    assert load(GrpcClientSettings, {}).grpc_tls is None
    assert load(HttpTlsSettings, {}).http_tls is None


@pytest.mark.parametrize(
    ("settings", "cert", "key"),
    [
        (GrpcServerSettings, f"{GRPC}CERT", f"{GRPC}KEY"),
        (GrpcClientSettings, f"{GRPC}CLIENT_CERT", f"{GRPC}CLIENT_KEY"),
        (HttpTlsSettings, "PARTSTREAM_EDGE_TLS_CERT", "PARTSTREAM_EDGE_TLS_KEY"),
    ],
)
def test_files_that_do_not_fit_are_named(
    settings: type[object], cert: str, key: str, authority: Authority, own: Certificate, tmp_path: Path
) -> None:
    further = {f"{GRPC}CA": authority.certificate} if settings is GrpcClientSettings else {}
    text = tmp_path / "text"
    text.write_text("no certificate")

    assert (
        problems(settings, **further, **{cert: own.certificate}) == f"{cert} is set, but {key} is not: TLS needs both"
    )
    assert problems(settings, **further, **{key: own.key}) == f"{key} is set, but {cert} is not: TLS needs both"
    mixed = problems(settings, **further, **{cert: own.certificate, key: authority.issue("other").key})
    assert mixed.startswith(f"{key} is wrong: ")
    assert "is not the key of the certificate" in mixed
    assert "no PEM certificate" in problems(settings, **further, **{cert: text, key: own.key})
    assert "no PEM certificate" in problems(settings, **further, **{cert: own.certificate, key: text})
    missing = problems(settings, **further, **{cert: tmp_path / "nowhere", key: own.key})
    assert missing.startswith(f"{cert} is wrong: no file at ")


def test_an_encrypted_key_is_refused_and_asks_nobody(own: Certificate, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(own.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    how = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))

    said = problems(HttpTlsSettings, PARTSTREAM_EDGE_TLS_CERT=own.certificate, PARTSTREAM_EDGE_TLS_KEY=locked)

    assert "unencrypted key" in said


def test_an_authority_needs_the_other_half(authority: Authority, own: Certificate, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")

    assert f"{GRPC}CERT is not" in problems(GrpcServerSettings, **{f"{GRPC}CLIENT_CA": authority.certificate})
    assert f"{GRPC}CA is wrong" in problems(GrpcClientSettings, **{f"{GRPC}CA": text})
    pair = {f"{GRPC}CLIENT_CERT": own.certificate, f"{GRPC}CLIENT_KEY": own.key}
    assert f"{GRPC}CA is not" in problems(GrpcClientSettings, **pair)


async def test_plaintext_beyond_loopback_is_a_warning(own: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    async with serving("127.0.0.1", None), serving("0.0.0.0", ServerTls(own.certificate, own.key)):  # noqa: S104
        assert not [record for record in caplog.records if "gRPC without TLS" in record.getMessage()]
    async with serving("0.0.0.0", None):  # noqa: S104 - what is warned of
        (warning,) = [record for record in caplog.records if "gRPC without TLS" in record.getMessage()]

    assert warning.levelname == "WARNING"
    assert "PARTSTREAM_GRPC_TLS_CERT" in warning.getMessage()


@pytest.mark.parametrize(
    ("host", "reflection", "shown"),
    [
        ("127.0.0.1", "auto", True),
        ("127.0.0.1", "off", False),
        ("0.0.0.0", "auto", False),  # noqa: S104 - what is tested
        ("0.0.0.0", "on", True),  # noqa: S104 - likewise
    ],
)
async def test_reflection_is_off_beyond_loopback_unless_asked_for(host: str, reflection: str, shown: bool) -> None:
    async with serving(host, None, reflection) as server, open_channel([f"127.0.0.1:{server.port}"]) as channel:
        for version in ("v1", "v1alpha"):
            call: Any = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")()
            if shown:
                await call.write(LIST_SERVICES)
                assert NAME.encode() in await call.read()
                call.cancel()
            else:
                # A stream of requests left open is collected at some later moment, in some other test.
                await call.done_writing()
                assert await call.code() == grpc.StatusCode.UNIMPLEMENTED
