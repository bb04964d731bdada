"""Hand-off: committed entries reach watchers in order, without a read of the change log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from changelog.log_reader import TailConnection
from tests.content_svc.running_service import RunningService, resistor

if TYPE_CHECKING:
    import pytest

    from changelog.log_entry import LogPage


async def test_commits_reach_watchers_without_reads_of_the_log(
    service: RunningService, resistors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def never(_tail: TailConnection, _after: int, _limit: int) -> LogPage:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with service.watching() as watching:
        monkeypatch.setattr(TailConnection, "page", never)
        await asked.wait()

        names = [f"R{number}" for number in range(5)]
        async with asyncio.timeout(20):
            for name in names:
                await service.add_part(resistor(name))
                await watching.changes(1)

    assert [change.part_id for change in watching.seen] == names
    first = watching.seen[0].revision
    assert [change.revision for change in watching.seen] == list(range(first, first + len(names)))


async def test_concurrent_commits_are_served_once_each_in_order(service: RunningService, resistors: str) -> None:
    names = [f"R{number}" for number in range(40)]

    async with service.watching() as watching:
        await asyncio.gather(*(service.add_part(resistor(name)) for name in names))
        async with asyncio.timeout(20):
            await watching.changes(len(names))

    first = watching.seen[0].revision
    assert [change.revision for change in watching.seen] == list(range(first, first + len(names)))
    assert sorted(change.part_id for change in watching.seen) == sorted(names)
