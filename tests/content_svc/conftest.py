"""A real content service in the test's own process: real database, real gRPC on a free port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from chassis.database import Database
from chassis.tokens import SigningKey
from content_svc.app import App
from content_svc.settings import Settings
from tests.content_svc.running_service import RunningService


@pytest.fixture
async def service(content_dsn: str, tmp_path: Path) -> AsyncIterator[RunningService]:
    """A running service, and clients for staff and for the public."""
    key = SigningKey.generate()
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    settings = Settings(database_url=content_dsn, jwks=str(jwks), port=0, pool_size=6)
    app = App(settings, await Database.open(content_dsn, application_name="content_svc", max_size=6))
    await app.start()
    running = RunningService(app, key, content_dsn)
    try:
        yield running
    finally:
        await running.close()
        await app.stop()


@pytest.fixture
async def sql(content_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A session as a person at ``psql`` has it."""
    connection = await asyncpg.connect(content_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def resistors(service: RunningService) -> str:
    """A category."""
    return await service.add_category("resistors", "Resistors")
