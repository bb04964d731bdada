"""A real edge in the test's own process, over real databases; requests go straight into its ASGI application."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from chassis.database import Database
from chassis.process_keys import entry
from chassis.tokens import SigningKey
from edge.app import Edge
from edge.identity.users import ensure_first_admin
from edge.settings import EdgeSettings
from stack.servers.ports import free_port
from tests.edge.identity.operator_command import OperatorCommand
from tests.harness.no_limits import without_rates

ADMIN = "admin"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Keys:
    """The signing key of a test, the credential of its edge, and the key sets that verify them."""

    key: SigningKey
    file: Path
    jwks: Path
    credential: SigningKey
    credential_file: Path
    process_keys: Path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A fresh key pair in files."""
    key = SigningKey.generate()
    file, jwks = tmp_path / "signing.pem", tmp_path / "jwks.json"
    file.write_bytes(key.pem())
    jwks.write_text(json.dumps(key.jwks()))
    credential, credential_file, process_keys = (
        SigningKey.generate(),
        tmp_path / "edge.pem",
        tmp_path / "processes.json",
    )
    credential_file.write_bytes(credential.pem())
    process_keys.write_text(json.dumps({"keys": [entry(credential.jwk, "edge")]}))
    return Keys(key, file, jwks, credential, credential_file, process_keys)


@pytest.fixture
def targets() -> tuple[str, str]:
    """Addresses of the inventory and the content service; no server listens there unless a package overrides this."""
    return f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"


@pytest.fixture
def queue_url() -> str | None:
    """The Redis of the edge; it has none unless a module overrides this."""
    return None


@pytest.fixture
async def database(edge_dsn: str) -> AsyncIterator[Database]:
    """The edge's database with its first administrator."""
    opened = await Database.open(edge_dsn, application_name="test", max_size=5)
    await ensure_first_admin(opened, ADMIN, PASSWORD)
    yield opened
    await opened.close()


@pytest.fixture
async def trail(audit_dsn: str) -> AsyncIterator[Database]:
    """The audit database."""
    opened = await Database.open(audit_dsn, application_name="test", max_size=2)
    yield opened
    await opened.close()


@pytest.fixture
def settings(
    edge_dsn: str, audit_dsn: str, keys: Keys, targets: tuple[str, str], queue_url: str | None
) -> EdgeSettings:
    """Settings of an edge, without rate limits."""
    return EdgeSettings(
        database_url=edge_dsn,
        audit_database_url=audit_dsn,
        inventory_targets=(targets[0],),
        content_targets=(targets[1],),
        signing_key_file=keys.file,
        jwks=str(keys.jwks),
        process_keys=str(keys.process_keys),
        credential_file=keys.credential_file,
        redis_url=queue_url,
        limits=without_rates(),
    )


@pytest.fixture
async def edge(database: Database, trail: Database, settings: EdgeSettings) -> AsyncIterator[Edge]:
    """An edge that runs, without its listener."""
    made = Edge(settings, database, trail)
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """A client that brings no token."""
    transport = httpx.ASGITransport(app=edge.asgi, client=("192.0.2.1", 1234))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://edge/api/v1") as made:
        yield made


@pytest.fixture
async def admin(edge: Edge, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client signed in as the administrator."""
    grant = (await client.post("/auth/login", json={"username": ADMIN, "password": PASSWORD})).json()
    transport = httpx.ASGITransport(app=edge.asgi, client=("192.0.2.1", 1234))  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {grant['access_token']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://edge/api/v1", headers=headers) as made:
        yield made


@pytest.fixture
def operator(database: Database, edge_dsn: str, keys: Keys) -> OperatorCommand:
    """The operator commands on the edge's database."""
    return OperatorCommand({"PARTSTREAM_EDGE_DATABASE_URL": edge_dsn, "PARTSTREAM_SIGNING_KEY_FILE": str(keys.file)})
