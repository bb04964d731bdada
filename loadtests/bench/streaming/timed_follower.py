"""A follower in a process of its own. Says when it follows; at end of input, when each revision was applied.

Arguments: port, key file, cursor, and the revision to stop at (0: at end of input).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from changelog.follower import ChangeBatch, Follower
from changelog.sources import StockSource
from chassis.channels import open_channel
from chassis.tokens import ServiceToken, SigningKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class Levels:
    """The least a cache does: the newest level of each part. Notes when each revision was applied."""

    def __init__(self, cursor: str, last: int) -> None:
        self.levels: dict[str, tuple[int, int]] = {}
        self.applied: list[tuple[int, int]] = []
        self.began = asyncio.Event()
        self.done = asyncio.Event()
        self._cursor = cursor
        self._last = last

    async def position(self) -> str:
        """Where to begin."""
        return self._cursor

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Not in this bench."""
        raise AssertionError(cursor)

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply and note the time."""
        for change in batch.changes:
            self.levels[change.part_id] = (change.after.version, change.after.on_hand)
        self.began.set()
        if batch.changes:
            self.applied.append((batch.changes[-1].revision, time.monotonic_ns()))
            if self._last and self.applied[-1][0] >= self._last:
                self.done.set()


async def main() -> None:
    """Follow until told to stop."""
    port, key_file, cursor, last = sys.argv[1:5]
    token = ServiceToken(SigningKey.load(Path(key_file)), "bench-follower")
    async with open_channel([f"127.0.0.1:{port}"], token=token) as channel:
        sink = Levels(cursor, int(last))
        follower = Follower(StockSource(channel), sink)
        began = time.monotonic_ns()
        follower.start()
        await sink.began.wait()
        _say({"began": began})
        if int(last):
            await sink.done.wait()
        else:
            await asyncio.to_thread(sys.stdin.readline)
        await follower.stop()
    _say({"applied": sink.applied})


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
