"""A follower that holds up retention is an alert until it advances or is removed."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import edge.alerts
import inventory_svc.settings
from changelog import maintenance
from tests.edge.routes.test_followers import registered as registered  # noqa: PLC0414 - a fixture
from tests.harness.small_partitions import make_small

if TYPE_CHECKING:
    import httpx

LEVELS = (
    "INSERT INTO stock_level (part_id, location_id, on_hand) SELECT 'p' || n, 'main', 1 FROM generate_series(1, 300) n"
)


@pytest.fixture(autouse=True)
def small_log(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change log with a minimal retention."""
    monkeypatch.setattr(maintenance, "_INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(edge.alerts, "RETENTION_SECONDS", 0.05)
    settings = inventory_svc.settings.Settings
    monkeypatch.setattr(inventory_svc.settings, "Settings", functools.partial(settings, log_keep_bytes=1))
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(make_small(256))


async def until(admin: httpx.AsyncClient, state: str) -> dict[str, Any]:
    """Return the only alert when it is in a state."""
    async with asyncio.timeout(30):
        while True:
            items = (await admin.get("/admin/alerts", params={"state": state})).json()["items"]
            if items:
                (alert,) = items
                return dict(alert)
            await asyncio.sleep(0.02)


async def test_the_alert_fires_and_is_resolved_when_the_follower_is_removed(
    admin: httpx.AsyncClient, registered: None, inventory_dsn: str
) -> None:
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(LEVELS)

    alert = await until(admin, "firing")
    assert (alert["name"], alert["subject"], alert["severity"]) == ("retention_held", "inventory/warehouse", "warning")
    assert "follower warehouse has reached revision 0 of 30" in alert["detail"]
    assert (await admin.delete("/admin/followers/inventory/warehouse")).status_code == 204

    resolved = await until(admin, "resolved")
    assert resolved["alert_id"] == alert["alert_id"]
