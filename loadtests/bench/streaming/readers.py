"""Many streams read raw in a process of its own: what a server can send, without what clients do with it.

Arguments: port, method, key file or ``-``, serialised request (hex), number of streams. Says when all are open; then
each line of input is what every stream is to be read up to, ``messages N`` or ``revision N``, and the answer is when it
was, and how many messages and bytes came since.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from changelog.cursor import position_in
from chassis.channels import open_channel
from chassis.tokens import ServiceToken, SigningKey

_STREAMS_PER_CHANNEL = 50


class Reader:
    """One stream, counted."""

    def __init__(self, call: Any, stamps: list[int] | None) -> None:
        self._call = call
        self._stamps = stamps
        self.messages = 0
        self.bytes = 0
        self.last = b""
        self.opened = asyncio.Event()
        self.grown = asyncio.Event()

    async def read(self) -> None:
        """Count permanently."""
        async for message in self._call:
            if self.opened.is_set():
                self.messages += 1
                self.bytes += len(message)
                if self._stamps is not None:
                    self._stamps.append(time.monotonic_ns())
            self.last = message
            self.opened.set()
            self.grown.set()

    def revision(self) -> int:
        """The revision that the last message reaches; a watch response begins with its cursor."""
        size = self.last[1]
        position = position_in(self.last[2 : 2 + size].decode(), "inventory")
        return position.revision if position else 0

    async def until(self, what: str, number: int) -> None:
        """Return once so much was read."""
        while (self.messages if what == "messages" else self.revision()) < number:
            self.grown.clear()
            await self.grown.wait()


async def main() -> None:
    """Read."""
    port, method, key_file, request, streams = sys.argv[1:6]
    token = None if key_file == "-" else ServiceToken(SigningKey.load(Path(key_file)), "bench-readers")
    stamps: list[int] | None = [] if int(streams) == 1 else None
    readers: list[Reader] = []
    tasks = []
    channels = []
    for number in range(int(streams)):
        if number % _STREAMS_PER_CHANNEL == 0:
            channels.append(open_channel([f"127.0.0.1:{port}"], token=token))
        call: Any = channels[-1].unary_stream(method)
        reader = Reader(call(bytes.fromhex(request)), stamps)
        readers.append(reader)
        tasks.append(asyncio.create_task(reader.read()))
        if number % 20 == 19:
            await reader.opened.wait()
    await asyncio.gather(*(reader.opened.wait() for reader in readers))
    _say({"open": len(readers)})
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        await asyncio.gather(*(reader.until(line[0], int(line[1])) for reader in readers))
        _say(
            {
                "at": time.monotonic_ns(),
                "messages": sum(reader.messages for reader in readers),
                "bytes": sum(reader.bytes for reader in readers),
                "stamps": stamps,
            }
        )
    for task in tasks:
        task.cancel()
    for channel in channels:
        await channel.close()


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
