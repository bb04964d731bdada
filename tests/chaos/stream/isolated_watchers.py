"""Watchers behind a link that fails silently: ``python -m tests.chaos.stream.isolated_watchers``.

``network_namespace`` starts it. The first line of standard input has the cursor, the token and the parts. After that it
responds to ``{"reach": revision}`` when every watcher is there, to ``"endings"`` with how their streams have ended, and
to ``{"record": path}`` by writing their messages to a file.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

_CLONE_NEWNET = 0x40000000


def _enter_own_network() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    _enter_own_network()  # before any thread starts

import asyncio  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from changelog import follower as following  # noqa: E402
from changelog.cursor import Position, position_in  # noqa: E402
from changelog.follower import Follower  # noqa: E402
from changelog.sources import StockSource  # noqa: E402
from chassis.background import Backoff  # noqa: E402
from chassis.channels import open_channel  # noqa: E402
from tests.chaos.stream import recorders  # noqa: E402
from tests.chaos.stream.network_namespace import FAR, NEAR, PORT, end_with_parent, ip  # noqa: E402
from tests.chaos.stream.recorders import Recorder, StateSink  # noqa: E402
from tests.chaos.stream.recording import encode_record  # noqa: E402


class Watchers:
    """A follower with a snapshot, a recorder of everything and one of some parts, each with its own connection."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Nothing watches before ``start``."""
        recorders._SILENCE_SECONDS = 1.0
        following.RESYNC_SPREAD_SECONDS = 0.05
        sources = [StockSource(open_channel([f"{NEAR}:{PORT}"], token=lambda: str(given["token"]))) for _ in range(3)]
        self.state = StateSink()
        self.follower = Follower(
            sources[0], self.state, bookmark_seconds=recorders.BOOKMARK_SECONDS, backoff=Backoff(0.02, 0.2)
        )
        self.recorders = [
            Recorder("everything", sources[1], given["cursor"]),
            Recorder("some parts", sources[2], given["cursor"], given["part_ids"]),
        ]

    def start(self) -> None:
        """Start the watchers."""
        self.follower.start()
        for recorder in self.recorders:
            recorder.start()

    async def reach(self, revision: int) -> dict[str, Any]:
        """Return once every watcher is at the revision."""
        start = position_in(self.recorders[0].cursor, "inventory")
        assert start is not None
        end = Position("inventory", start.epoch, revision)
        await asyncio.gather(
            self.follower.reached(end, 60), *(recorder.reached(revision) for recorder in self.recorders)
        )
        return {"reached": revision}

    def endings(self) -> dict[str, Any]:
        """Return how streams have ended."""
        ends = [[session.ended_by for session in recorder.sessions if session.ended_by] for recorder in self.recorders]
        return {"recorders": ends, "follower": self.follower.counts.reconnects}

    async def record(self, path: str) -> dict[str, Any]:
        """Stop, and write the messages to a file."""
        await self.follower.stop()
        for recorder in self.recorders:
            await recorder.stop()
        record = json.dumps(encode_record(self.recorders, self.state, self.follower.counts))
        await asyncio.to_thread(Path(path).write_text, record)
        return {"recorded": path}


async def _join_network() -> None:
    for _ in range(1000):
        try:
            ip("addr", "add", f"{FAR}/30", "dev", "far")
        except OSError:
            await asyncio.sleep(0.01)
        else:
            ip("link", "set", "lo", "up")
            ip("link", "set", "far", "up")
            return
    message = "the link does not exist"
    raise TimeoutError(message)


async def _watch() -> None:
    await _join_network()
    commands = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    watchers = Watchers(json.loads(await commands.readline()))
    watchers.start()
    while line := await commands.readline():
        command = json.loads(line)
        if command == "endings":
            response = watchers.endings()
        elif "reach" in command:
            response = await watchers.reach(command["reach"])
        else:
            response = await watchers.record(command["record"])
        print(json.dumps(response), flush=True)  # noqa: T201 - the protocol
    os._exit(0)


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(_watch())
