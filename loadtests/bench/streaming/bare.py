"""A bare gRPC server: each stream has a queue and sends each queued message: the lower bound of a stream.

``python -m loadtests.bench.streaming.bare PORT`` reads commands, one JSON object a line: ``{"burst": messages, "bytes":
size, "bursts_per_second": rate, "seconds": time}`` puts so many messages into the queue of every stream and returns
when each was put; ``{"flood": messages, "bytes": size}`` puts them all at once and returns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
import uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METHOD = "/bench.Bare/Stream"


class Bare(grpc.GenericRpcHandler):
    """Streams of bytes."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[bytes]] = set()

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002 - as gRPC calls it
        """The one method."""
        return grpc.unary_stream_rpc_method_handler(self._stream)

    async def _stream(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.queues.add(queue)
        try:
            yield b"begin"
            while True:
                yield await queue.get()
        finally:
            self.queues.discard(queue)


async def main() -> None:
    """Serve and obey."""
    bare = Bare()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((bare,))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    print(json.dumps({"serving": True}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        response = await (_burst(bare, command) if "burst" in command else _flood(bare, command))
        print(json.dumps(response), flush=True)
    await server.stop(1)


async def _burst(bare: Bare, command: dict[str, Any]) -> dict[str, Any]:
    put: list[int] = []
    payload = bytes(command["bytes"])
    interval = 1 / command["bursts_per_second"]
    due = time.monotonic()
    for _ in range(int(command["seconds"] / interval)):
        due += interval
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for _ in range(command["burst"]):
            put.append(time.monotonic_ns())
            for queue in bare.queues:
                queue.put_nowait(payload)
    return {"put": put}


async def _flood(bare: Bare, command: dict[str, Any]) -> dict[str, Any]:
    payload = bytes(command["bytes"])
    for queue in bare.queues:
        for _ in range(command["flood"]):
            queue.put_nowait(payload)
    return {"flooded": command["flood"]}


if __name__ == "__main__":
    uvloop.run(main())
