"""``./partstream bench live``: one change for thousands of sockets of the running stack, and a reader beside them.

Every socket subscribes to the stock of one part, which is then adjusted a few times in a row, round after round. Said
are the time from the last commit until every socket has the last state, and how long a REST read of that stock took
meanwhile, asked by a process of its own. Then one socket is left and the stock is changed by SQL: said is the time from
sending COMMIT to the frame. Clients and stack share the machine: compare two stacks in one hour, as by ``--data-dir``.
Sockets come from many addresses of 127.0.0.0/8, which Linux has without being asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import struct
import subprocess
import sys
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING

import asyncpg

from chassis.process import allow_open_files
from partstream.inventory.v1 import stock_service_pb2
from stack import stack_state
from stack.checkout import ROOT
from stack.errors import ServerUnavailable
from stack.service_calls.service_access import open_services, service_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

ADDRESSES = 60  # an edge takes 1,000 connections from one
OPENED_AT_ONCE = 200
TIMEOUT_SECONDS = 120.0
PAUSE_SECONDS = 0.5
FRAME_BYTES = 400  # of a stock frame, at most
SQL_CHANGES = 20
SQL_PAUSE_SECONDS = 0.1
ADD_ONE = "UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id = $1 AND location_id = 'main'"
# A part's version is the sum of its levels'.
PART_VERSION = "SELECT sum(version)::bigint FROM stock_level WHERE part_id = $1"
_VERSION = re.compile(rb'"type":"stock"[^{}]*?"version":(\d+)')
HANDSHAKE = (
    "GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def run(given: argparse.Namespace) -> int:
    """Measure and print a line per figure."""
    allow_open_files()
    folder = stack_state.data_folder(given.data_dir)
    try:
        asyncio.run(_measure(folder, given.sockets, given.changes, given.rounds))
    except TimeoutError as error:
        message = f"Some of the sockets received nothing for {TIMEOUT_SECONDS:.0f} s."
        raise ServerUnavailable(message) from error
    return 0


class Finish:
    """The version that ends a round, and who has not got there yet."""

    def __init__(self, version: int, listeners: int) -> None:
        """Everybody is on the way."""
        self.version = version
        self.told_at: list[float] = []
        self.reached = asyncio.Event()
        self._listeners = listeners

    def arrive(self) -> None:
        """One more has got there."""
        self.told_at.append(time.monotonic())
        if len(self.told_at) == self._listeners:
            self.reached.set()


class Listener(asyncio.Protocol):
    """The least that a WebSocket client can be: it subscribes, and says when it has been told what ends a round."""

    def __init__(self, port: int, part_id: str) -> None:
        """Listen to one part."""
        wanted = json.dumps({"op": "subscribe", "id": "s", "parts": [part_id]}).encode()
        self._handshake = HANDSHAKE.format(port=port).encode()
        self._subscribe = masked(wanted)
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self.subscribed = asyncio.get_running_loop().create_future()
        self.finish: Finish | None = None
        self._rest = b""  # where a frame may have been cut

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        """Frames, or parts of them."""
        data = self._rest + data
        self._rest = data[-FRAME_BYTES:]
        if not self._is_open and self._transport is not None:
            self._is_open = True
            self._transport.write(self._subscribe)
        elif b'"subscribed"' in data and not self.subscribed.done():
            self.subscribed.set_result(None)
        if self.finish is not None and any(int(found) >= self.finish.version for found in _VERSION.findall(data)):
            self.finish.arrive()
            self.finish = None

    def connection_lost(self, error: Exception | None) -> None:
        """A socket that is sent away while it waits ends the bench."""
        if not self.subscribed.done():
            self.subscribed.set_exception(ServerUnavailable(f"The edge closed a socket: {error}"))

    def close(self) -> None:
        """Go."""
        if self._transport is not None:
            self._transport.abort()


def masked(text: bytes) -> bytes:
    """A frame of a client; a mask of zeros leaves the text as it is."""
    short = len(text) < 126
    head = bytes([0x81, 0x80 | (len(text) if short else 126)])
    return head + (b"" if short else struct.pack(">H", len(text))) + bytes(4) + text


async def _measure(folder: Path, sockets: int, changes: int, rounds: int) -> None:
    port = stack_state.read_running(folder).first_edge
    part_id = a_part(port)
    began = time.monotonic()
    listeners = await open_listeners(port, part_id, sockets)
    print(f"{sockets:,} sockets opened in {time.monotonic() - began:.0f} s")
    halves, lasts = [], []
    try:
        async with (
            open_services(service_settings(folder), "bench-live") as services,
            rest_reader(port, part_id) as reader,
        ):
            for _ in range(rounds):
                half, last = await _round(services.inventory, listeners, part_id, changes)
                halves.append(half)
                lasts.append(last)
                await asyncio.sleep(PAUSE_SECONDS)
            assert reader.stdin is not None  # noqa: S101 - for the type
            reader.stdin.close()
            found = json.loads((await reader.communicate())[0])
        for listener in listeners[1:]:
            listener.close()
        by_sql = await _change_by_sql(stack_state.read_running(folder).databases["inventory"], listeners[0], part_id)
    finally:
        for listener in listeners:
            listener.close()
    print(f"with half of them after  median {statistics.median(halves):.2f} s, worst {max(halves):.2f} s")
    print(f"with all of them after   median {statistics.median(lasts):.2f} s, worst {max(lasts):.2f} s")
    reads = "REST reads meanwhile     {count:,}: median {median:.1f} ms, p99 {p99:.0f} ms, worst {worst:.0f} ms"
    print(reads.format(**found))
    milliseconds = [1000 * seconds for seconds in by_sql]
    line = "a change by SQL, COMMIT to the frame: median {:.1f} ms, worst {:.1f} ms of {}"
    print(line.format(statistics.median(milliseconds), max(milliseconds), SQL_CHANGES))


def a_part(port: int) -> str:
    """One that is in stock at `main`, as all of the sample and of an import are."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/parts?page_size=100") as response:
        parts = [part["part_id"] for part in json.load(response)["items"] if part["stock"]["in_stock"]]
    if not parts:
        message = "Nothing is in stock: start the stack with its sample, or import a catalogue."
        raise ServerUnavailable(message)
    return str(parts[0])


async def open_listeners(port: int, part_id: str, sockets: int) -> list[Listener]:
    """Return open sockets that have subscribed to the part, from many addresses."""
    loop = asyncio.get_running_loop()
    opened: list[Listener] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(opened) < sockets:
            numbers = range(len(opened), min(len(opened) + OPENED_AT_ONCE, sockets))
            made = await asyncio.gather(
                *(
                    loop.create_connection(
                        lambda: Listener(port, part_id),
                        "127.0.0.1",
                        port,
                        local_addr=(f"127.0.0.{2 + number % ADDRESSES}", 0),
                    )
                    for number in numbers
                )
            )
            listeners = [listener for _, listener in made]
            await asyncio.gather(*(listener.subscribed for listener in listeners))
            opened += listeners
    return opened


async def _round(
    inventory: InventoryServiceAsyncStub, listeners: list[Listener], part_id: str, changes: int
) -> tuple[float, float]:
    """Seconds from the last commit until half, and until all of them had the last state."""
    stock = (await inventory.GetStock(stock_service_pb2.GetStockRequest(part_id=part_id))).stock
    finish = Finish(stock.version + changes, len(listeners))
    for listener in listeners:
        listener.finish = finish
    for _ in range(changes):
        request = stock_service_pb2.AdjustStockRequest(
            request_id=str(uuid.uuid4()), part_id=part_id, location_id="main", delta=1, reason="bench live"
        )
        await inventory.AdjustStock(request)
    committed = time.monotonic()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await finish.reached.wait()
    return finish.told_at[len(listeners) // 2] - committed, finish.told_at[-1] - committed


async def _change_by_sql(dsn: str, listener: Listener, part_id: str) -> list[float]:
    """Seconds from sending COMMIT until the frame, change by change; the pause keeps each one alone."""
    taken = []
    connection = await asyncpg.connect(dsn)
    try:
        for _ in range(SQL_CHANGES):
            await asyncio.sleep(SQL_PAUSE_SECONDS)
            await connection.execute("BEGIN")
            await connection.execute(ADD_ONE, part_id)
            version = await connection.fetchval(PART_VERSION, part_id)
            listener.finish = finish = Finish(version, 1)
            began = time.monotonic()
            await connection.execute("COMMIT")
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await finish.reached.wait()
            taken.append(finish.told_at[0] - began)
    finally:
        await connection.close()
    return taken


@contextlib.asynccontextmanager
async def rest_reader(port: int, part_id: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that reads the stock again and again until its input ends, then prints how long that took."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtests.bench.reader",
        str(port),
        f"/api/v1/parts/{part_id}/stock",
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
