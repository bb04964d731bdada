"""Fixtures of the inventory service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inventory_svc.running import Running, running


@pytest.fixture
async def inventory(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A running service on a fresh database; its books are checked when the test is over."""
    async with running(inventory_dsn, tmp_path) as service:
        yield service
        service.check_books()
