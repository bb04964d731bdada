"""What Prometheus reads of the followers, while the network to a service fails and heals, and a log restarts."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import content_svc.app
import content_svc.settings
import inventory_svc.app
import inventory_svc.settings
from changelog import follower as following
from edge.upstream.follower_metrics import FollowerMetrics, FollowerStatus
from tests.harness.no_limits import without_rates
from tests.harness.tcp_proxy import TcpProxy, proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.app import Edge
    from tests.edge.conftest import Keys

PREFIX = "partstream_edge_follower_"
RAW = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ($1, 'main', 1)"
QUIET = FollowerStatus(True, 0, 0.0, 0.1, 0, 0, 0)


@pytest.fixture
async def proxy(inventory_dsn: str, keys: Keys) -> AsyncIterator[TcpProxy]:
    """The network before a running inventory service."""
    service = await inventory_svc.app.start(
        inventory_svc.settings.Settings(
            database_url=inventory_dsn,
            jwks=str(keys.jwks),
            process_keys=str(keys.process_keys),
            port=0,
            revocation_targets=None,
            limits=without_rates(),
        )
    )
    async with proxy_to(service.server.port) as made:
        yield made
    await service.stop()


@pytest.fixture
async def targets(proxy: TcpProxy, content_dsn: str, keys: Keys) -> AsyncIterator[tuple[str, str]]:
    """The inventory service behind its network, and a content service."""
    service = await content_svc.app.start(
        content_svc.settings.Settings(
            database_url=content_dsn,
            jwks=str(keys.jwks),
            process_keys=str(keys.process_keys),
            port=0,
            revocation_targets=None,
            limits=without_rates(),
        )
    )
    yield f"127.0.0.1:{proxy.port}", f"127.0.0.1:{service.server.port}"
    await service.stop()


async def scrape(client: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    """Each follower's metrics, by name, log and sink."""
    text = generate_latest().decode()
    return {
        (sample.name.removeprefix(PREFIX), sample.labels["log"], sample.labels["sink"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX) and "sink" in sample.labels
    }


async def until(client: httpx.AsyncClient, holds: Callable[[Any], bool]) -> dict[tuple[str, str, str], float]:
    """The metrics, once something holds of those of the inventory's follower that feeds memory."""
    async with asyncio.timeout(30):
        while True:
            found = await scrape(client)
            if holds(lambda name: found.get((name, "inventory", "memory"), math.nan)):  # noqa: B023 - called at once
                return found
            await asyncio.sleep(0.02)


async def write(dsn: str, part_id: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(RAW, part_id)
    await connection.close()


async def test_a_broken_stream_shows_and_heals(
    edge: Edge, client: httpx.AsyncClient, proxy: TcpProxy, inventory_dsn: str
) -> None:
    before = await until(client, lambda now: now("connected") == 1)
    assert before["connected", "content", "memory"] in {0, 1}
    proxy.cut()
    broken = await until(client, lambda now: now("connected") == 0 and now("reconnects_total") >= 2)
    await write(inventory_dsn, "while-cut")
    proxy.heal()
    position = edge.following.followers["inventory"].position
    healed = await until(client, lambda now: now("connected") == 1 and now("lag_revisions") == 0)

    assert position is not None
    assert broken["reconnects_total", "inventory", "memory"] > before["reconnects_total", "inventory", "memory"]
    assert healed["reconnects_total", "inventory", "memory"] >= broken["reconnects_total", "inventory", "memory"]
    assert healed["resyncs_total", "inventory", "memory"] == before["resyncs_total", "inventory", "memory"]
    assert healed["silent_seconds", "inventory", "memory"] < 5
    assert healed["reconnects_total", "content", "memory"] == before["reconnects_total", "content", "memory"]


async def test_a_new_epoch_shows_as_a_resync(
    edge: Edge, client: httpx.AsyncClient, inventory_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RESYNC_SPREAD_SECONDS", 0.01)
    before = await until(client, lambda now: now("connected") == 1)
    connection = await asyncpg.connect(inventory_dsn)
    await connection.fetchval("SELECT change_log_begin_epoch()")
    await connection.close()

    await until(
        client, lambda now: now("resyncs_total") > before["resyncs_total", "inventory", "memory"] and now("connected")
    )


async def test_silence_longer_than_a_bookmark_interval_is_lag(
    edge: Edge, client: httpx.AsyncClient, proxy: TcpProxy
) -> None:
    follower = edge.following.followers["inventory"]
    await until(client, lambda now: now("connected") == 1)
    proxy.stall()
    follower.last_message_at -= 60  # as if it had been a minute

    stalled = await scrape(client)

    assert stalled["silent_seconds", "inventory", "memory"] >= 60
    assert stalled["lag_seconds", "inventory", "memory"] >= 60
    assert stalled["connected", "inventory", "memory"] == 1


async def test_a_follower_that_is_gone_is_not_shown_and_its_successor_is() -> None:
    metrics = FollowerMetrics()

    def samples() -> list[float]:
        return [sample.value for metric in metrics.collect() for sample in metric.samples if "connected" in sample.name]

    with metrics.showing("inventory", "shared", lambda: QUIET):
        successor = metrics.showing("inventory", "shared", lambda: QUIET)
        successor.__enter__()
    assert samples() == [1.0]
    successor.__exit__(None, None, None)
    assert samples() == []
