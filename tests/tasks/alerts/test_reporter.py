"""Alerts: one log line and one count per change, stored despite failures of the database or of other reporters."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from chassis.database import Database
from tasks.alerts import reporter
from tasks.alerts.reporter import FIRING, Alerts
from tests.harness.tcp_proxy import TcpProxy, proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "redis_key_quarantined"
ROWS = "SELECT name, subject, state, detail, resolution, reporter FROM alert ORDER BY fired_at, subject"
# As after a minute without a renewal.
LAPSE = "UPDATE alert SET last_seen_at = now() - interval '61 seconds'"


@pytest.fixture
async def edge_database(edge_dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(edge_dsn, application_name="test", max_size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def alerts(edge_dsn: str) -> AsyncIterator[Alerts]:
    made = Alerts("test", edge_dsn)
    yield made
    await made.stop()


async def rows(database: Database) -> list[tuple[str, ...]]:
    """Name, subject, state, detail and resolution of every stored alert."""
    return [tuple(row)[:5] for row in await database.pool.fetch(ROWS)]


async def until_stored(database: Database, *states: str) -> None:
    """Return once alerts in these states are stored, and no others."""
    async with asyncio.timeout(30):
        while [row[2] for row in await rows(database)] != list(states):  # noqa: ASYNC110 - the signal is in the database
            await asyncio.sleep(0.02)


def firing() -> float:
    """The metric."""
    return float(FIRING.labels(NAME, "warning")._value.get())


async def test_only_changes_of_state_count(
    alerts: Alerts, edge_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "partstream.alerts")
    before = firing()

    for detail in ("first", "second"):
        alerts.fire(NAME, "cursor", detail)
    await alerts.run_once()
    assert await rows(edge_database) == [(NAME, "cursor", "firing", "second", "")]
    assert firing() == before + 1
    for _ in range(2):
        alerts.resolve(NAME, "cursor")
    await alerts.run_once()

    assert await rows(edge_database) == [(NAME, "cursor", "resolved", "second", "resolved")]
    assert firing() == before
    assert [record.getMessage() for record in caplog.records] == [
        "alert firing name=redis_key_quarantined subject=cursor detail=first",
        "alert resolved name=redis_key_quarantined subject=cursor",
    ]


async def test_a_condition_that_recurs_is_a_new_alert(alerts: Alerts, edge_database: Database) -> None:
    for _ in range(2):
        alerts.fire(NAME, "cursor", "")
        alerts.resolve(NAME, "cursor")
    alerts.fire(NAME, "cursor", "")
    await alerts.run_once()

    assert [row[2] for row in await rows(edge_database)] == ["resolved", "resolved", "firing"]


async def test_an_alert_without_definition_is_rejected(alerts: Alerts) -> None:
    with pytest.raises(KeyError):
        alerts.fire("misspelt", "x", "")


async def test_changes_from_any_thread_are_stored_in_the_background(alerts: Alerts, edge_database: Database) -> None:
    alerts.start()
    thread = threading.Thread(target=alerts.fire, args=(NAME, "tag", "seen in a thread"))
    thread.start()
    thread.join()
    await until_stored(edge_database, "firing")
    alerts.resolve(NAME, "tag")
    await until_stored(edge_database, "resolved")


async def test_a_text_that_cannot_be_stored_blocks_no_other_alert(alerts: Alerts, edge_database: Database) -> None:
    alerts.fire(NAME, "a\0\ud800" * 300, "b\0\ud800" * 1000)
    alerts.fire(NAME, "b", "")
    await alerts.run_once()

    stored = await rows(edge_database)
    assert [(len(row[1]), len(row[3])) for row in stored] == [(200, 1000), (1, 0)]
    alerts.resolve(NAME, "a\0\ud800" * 300)
    await alerts.run_once()
    assert [row[2] for row in await rows(edge_database)] == ["resolved", "firing"]


async def test_two_reporters_of_one_condition_have_an_alert_each(
    alerts: Alerts, edge_dsn: str, edge_database: Database
) -> None:
    other = Alerts("test", edge_dsn)
    for one in (alerts, other):
        one.fire(NAME, "cursor", "")
        await one.run_once()
    alerts.resolve(NAME, "cursor")
    await alerts.run_once()

    assert [row[2] for row in await rows(edge_database)] == ["resolved", "firing"]
    await other.stop()
    assert [row[2:5] for row in await rows(edge_database)][1] == ("resolved", "", "the reporter stopped")


async def test_alerts_of_an_ended_reporter_are_resolved_by_another(
    alerts: Alerts, edge_dsn: str, edge_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "partstream.alerts")
    dead = Alerts("dead", edge_dsn)
    dead.fire(NAME, "cursor", "")
    await dead.run_once()

    await alerts.run_once()
    assert [row[2] for row in await rows(edge_database)] == ["firing"]
    await edge_database.pool.execute(LAPSE)
    await alerts.run_once()

    assert [row[2:5] for row in await rows(edge_database)] == [("resolved", "", "no longer reported")]
    said = [record.getMessage() for record in caplog.records]
    assert f"alert no longer reported name={NAME} subject=cursor reporter={dead.reporter}" in said
    # It was not dead: only cut off from the database.
    await dead.run_once()
    assert [row[2:5] for row in await rows(edge_database)] == [("firing", "", "")]
    await dead.stop()


async def test_a_reporter_renews_what_it_reports(
    alerts: Alerts, edge_dsn: str, edge_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.fire(NAME, "cursor", "")
    await alerts.run_once()
    await edge_database.pool.execute(LAPSE)
    await alerts.run_once()
    other = Alerts("other", edge_dsn)
    await other.run_once()

    assert [row[2] for row in await rows(edge_database)] == ["firing"]
    await other.stop()


@pytest.fixture
async def proxy(edge_dsn: str) -> AsyncIterator[TcpProxy]:
    """A proxy to the database, whose connections a test can close."""
    async with proxy_to(urlsplit(edge_dsn).port or 5432) as made:
        yield made


def through(proxy: TcpProxy, dsn: str) -> str:
    """The connection string of the proxy."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")))


async def test_changes_during_a_database_outage_are_stored_afterwards(
    proxy: TcpProxy, edge_dsn: str, edge_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts("test", through(proxy, edge_dsn))
    alerts.start()
    alerts.fire(NAME, "a", "before")
    await until_stored(edge_database, "firing")

    proxy.cut()
    alerts.resolve(NAME, "a")
    alerts.fire(NAME, "b", "meanwhile")
    alerts.fire(NAME, "c", "meanwhile")
    alerts.resolve(NAME, "c")
    async with asyncio.timeout(30):
        while "background step failed service=alerts" not in caplog.text:  # noqa: ASYNC110 - the signal is in the log
            await asyncio.sleep(0.02)
    proxy.heal()
    alerts.nudge()

    await until_stored(edge_database, "resolved", "firing", "resolved")
    await alerts.stop()
    assert [row[1:3] for row in await rows(edge_database)] == [("a", "resolved"), ("b", "resolved"), ("c", "resolved")]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "MOST_FIRING", 3)
    alerts = Alerts("test")
    for number in range(10):
        alerts.fire(NAME, f"subject-{number}", "")
    assert len(alerts.firing(NAME)) == 3
    for _ in range(reporter.MOST_UNSTORED + 10):
        alerts.resolve(NAME, "subject-0")
        alerts.fire(NAME, "subject-0", "")

    assert len(alerts._ended) == reporter.MOST_UNSTORED
    await alerts.stop()


async def test_old_alerts_are_deleted_once_resolved(alerts: Alerts, edge_database: Database) -> None:
    alerts.fire(NAME, "old", "")
    alerts.fire(NAME, "new", "")
    alerts.resolve(NAME, "old")
    alerts.resolve(NAME, "new")
    await alerts.run_once()
    await edge_database.pool.execute("UPDATE alert SET resolved_at = now() - interval '91 days' WHERE subject = 'old'")
    alerts._deleted_at = float("-inf")
    await alerts.run_once()

    assert [row[1] for row in await rows(edge_database)] == ["new"]
