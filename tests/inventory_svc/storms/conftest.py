"""Fixtures of storms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.tokens import SigningKey
from tests.inventory_svc.running import check_books
from tests.inventory_svc.storms.replicas import Crowd, Replica, replica_processes


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
async def replicas(inventory_dsn: str, tmp_path: Path, key: SigningKey) -> AsyncIterator[list[Replica]]:
    """Two processes of the service; the books are checked when they have ended."""
    async with replica_processes(inventory_dsn, tmp_path, key) as running:
        yield running
    check_books(inventory_dsn)


@pytest.fixture
async def crowd(replicas: list[Replica], key: SigningKey) -> AsyncIterator[Crowd]:
    """Callers over both; what they were told is checked when the storm is over."""
    callers = Crowd([replica.port for replica in replicas], key)
    yield callers
    await callers.close()
    callers.check()
