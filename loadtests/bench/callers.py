"""Many callers at once over one channel, with messages serialised beforehand: the caller costs as little as it can."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
import uvloop

SERVICE = "/partstream.inventory.v1.InventoryService/"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass
class Result:
    """What a run of calls came to. ``items`` counts what the calls carried, accepted ones only."""

    calls: int = 0
    refused: int = 0
    items: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Items accepted a second."""
        return self.items / self.seconds

    @property
    def median_ms(self) -> float:
        """The median time of a call."""
        return sorted(self.latencies_ms)[len(self.latencies_ms) // 2]


def run(
    port: int, token: str, method: str, messages: Iterator[bytes], *, callers: int, items_each: int, seconds: float
) -> Result:
    """Let ``callers`` call one after another for some seconds."""
    return uvloop.run(_run(port, token, method, messages, callers, items_each, seconds))


async def _run(
    port: int, token: str, method: str, messages: Iterator[bytes], callers: int, items_each: int, seconds: float
) -> Result:
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    metadata = (("authorization", f"Bearer {token}"),)
    result = Result()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call: Callable[..., grpc.aio.UnaryUnaryCall[bytes, bytes]] = channel.unary_unary(SERVICE + method)

        async def keep_calling(until: float) -> None:
            while time.perf_counter() < until:
                began = time.perf_counter()
                try:
                    await call(next(messages), metadata=metadata, timeout=60)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                        raise
                    result.refused += 1
                else:
                    result.items += items_each
                result.calls += 1
                result.latencies_ms.append((time.perf_counter() - began) * 1000)

        await call(next(messages), metadata=metadata, timeout=60)  # connect, and warm every plan
        began = time.perf_counter()
        await asyncio.gather(*(keep_calling(began + seconds) for _ in range(callers)))
        result.seconds = time.perf_counter() - began
    return result


def endless(make: Callable[[int], bytes]) -> Iterator[bytes]:
    """Messages made one by one."""
    return map(make, itertools.count())
