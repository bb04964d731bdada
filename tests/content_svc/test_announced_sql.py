"""A commit by SQL sends a notification; the service's own transactions send none."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from changelog import tailer
from tests.content_svc.running_service import RunningService, resistor
from tests.harness.notifications import AS_BEFORE, listening
from tests.harness.templates import migrate

SET_TITLE = "UPDATE part SET title = $1"
ADD_CATEGORY = "INSERT INTO category (category_id, name) VALUES ('passives', 'Passives')"
RENAME_CATEGORY = "UPDATE category SET name = 'Passive parts'"
UNDO_MIGRATION = "DELETE FROM migration WHERE name = '2026-11-22T21:00:00:000000'"


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the poll, only a notification reports commits of other sessions."""
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)


async def test_a_change_by_sql_reaches_a_watch_without_the_poll(
    service: RunningService, resistors: str, sql: asyncpg.Connection
) -> None:
    await service.add_part(resistor("R1", category_id=resistors))
    titles = ["first", "second", "third", "fourth"]

    # Several, because the service reads the log once by itself when it starts to listen.
    async with service.watching() as watching:
        for title in titles:
            await sql.execute(SET_TITLE, title)
            async with asyncio.timeout(20):
                await watching.changes(1)

    assert [(change.after.title, change.origin.source) for change in watching.seen] == [
        (title, "sql") for title in titles
    ]


async def test_transactions_of_the_service_send_no_notification(
    service: RunningService, resistors: str, content_dsn: str, sql: asyncpg.Connection
) -> None:
    await service.app._log._notifier.stop()  # it sends after the commits, on a connection of its own
    async with listening(content_dsn) as notifications:
        part = await service.add_part(resistor("R1", category_id=resistors))
        part.title = "Better"
        await service.update(part, "title", expected_version=1)
        await service.add_category("coils", "Coils")

        await sql.execute(SET_TITLE, "by hand")
        await notifications.until_from(sql.get_server_pid())

    assert notifications.senders == [sql.get_server_pid()]


async def test_a_database_from_before_gets_it(content_dsn: str, sql: asyncpg.Connection) -> None:
    await sql.execute(AS_BEFORE)
    await sql.execute(UNDO_MIGRATION)
    async with listening(content_dsn) as notifications:
        await sql.execute(ADD_CATEGORY)
        await asyncio.to_thread(migrate, "content", content_dsn)

        await sql.execute(RENAME_CATEGORY)
        await notifications.until_from(sql.get_server_pid())

    assert notifications.senders == [sql.get_server_pid()]
