"""``./partstream bench edge``: responses per second of one edge of the running stack, compared with a bare route.

The bare route is a Litestar route without anything of ours on the same server, in a process beside the stack. Both are
asked in turn by the same client, so that a ratio says what our layers cost whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack import stack_state
from stack.checkout import ROOT
from stack.errors import ServerUnavailable
from stack.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Case:
    """A request that is asked over and over; several paths are taken in turn."""

    name: str
    port: int
    paths: Sequence[str]
    headers: str = ""
    status: int = 200

    def requests(self) -> list[bytes]:
        """The requests as they are sent."""
        return [f"GET {path} HTTP/1.1\r\nHost: bench\r\n{self.headers}\r\n".encode() for path in self.paths]


def run(given: argparse.Namespace) -> int:
    """Measure and print the table."""
    edge = stack_state.read_running(stack_state.data_folder(given.data_dir)).first_edge
    with _bare_route() as bare:
        cases = [Case("the bare route", bare, ["/bare"]), *_cases(edge)]
        reached: dict[str, list[float]] = {case.name: [] for case in cases}
        for _ in range(given.rounds):
            for case in cases:
                reached[case.name].append(asyncio.run(_rate(case, given.connections, given.seconds)))
    print(f"{'':<42}{'reached':>10}   to the bare route of its round")
    for name, rates in reached.items():
        ratios = [rate / yardstick for rate, yardstick in zip(rates, reached["the bare route"], strict=True)]
        print(f"{name:<42}{statistics.median(rates):>8,.0f}/s   {statistics.median(ratios):.2f}")
    return 0


def _cases(edge: int) -> list[Case]:
    """The reads of a shop, over the parts of one listing."""
    listing = "/api/v1/parts?page_size=50"
    with urllib.request.urlopen(f"http://127.0.0.1:{edge}{listing}") as response:
        parts = [part["part_id"] for part in json.load(response)["items"]]
    if not parts:
        message = "The catalogue is empty: start the stack with its sample, or import a catalogue."
        raise ServerUnavailable(message)
    page = f"/api/v1/parts/{parts[0]}"
    with urllib.request.urlopen(f"http://127.0.0.1:{edge}{page}") as response:
        tag = response.headers["ETag"]
    return [
        Case("GET /parts/{id}", edge, [f"/api/v1/parts/{part}" for part in parts]),
        Case("GET /parts/{id}, If-None-Match: 304", edge, [page], f"If-None-Match: {tag}\r\n", 304),
        Case("GET /parts/{id}/stock", edge, [f"/api/v1/parts/{part}/stock" for part in parts]),
        Case("GET /parts, 50 parts with live stock", edge, [listing]),
    ]


@contextlib.contextmanager
def _bare_route() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "loadtests.bench.bare_route", str(port)], cwd=ROOT)
    try:
        asyncio.run(_until_open(port))
        yield port
    finally:
        process.terminate()
        process.wait()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _rate(case: Case, connections: int, seconds: float) -> float:
    """Return a second; a response with another status ends the bench."""
    end = time.perf_counter() + seconds
    began = time.perf_counter()
    counts = await asyncio.gather(*(_ask(case, number, end) for number in range(connections)))
    return sum(counts) / (time.perf_counter() - began)


async def _ask(case: Case, first: int, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", case.port)
    requests = case.requests()
    responses = 0
    try:
        while time.perf_counter() < end:
            writer.write(requests[(first + responses) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            if int(head[9:12]) != case.status:
                message = f"{case.name}: got {head[9:12].decode()} instead of {case.status}"
                if head[9:12] == b"429":
                    message += ": start the stack with PARTSTREAM_LIMITS=reads=1000000/s"
                raise ServerUnavailable(message)
            length = _LENGTH.search(head)
            if length is not None and case.status != 304:
                await reader.readexactly(int(length[1]))
            responses += 1
    finally:
        writer.close()
    return responses
