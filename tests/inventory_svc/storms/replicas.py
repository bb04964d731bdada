"""Two replicas of the service, and callers who ask again until they are answered."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from chassis.channels import open_channel
from chassis.errors import PartstreamError
from chassis.rich_status import from_rpc_error
from chassis.tokens import SERVICE_PERMISSIONS, SigningKey
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack.servers.ports import free_port
from tests.inventory_svc.running import ADMIN_ID
from tests.inventory_svc.storms.history import History, Kind, Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from partstream.inventory.v1 import stock_pb2
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

# Answers that say nothing of whether the request was applied: ask again with the same request id.
UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}
PAUSE_SECONDS = 0.02
GIVE_UP_SECONDS = 60.0


class Replica:
    """One process of the service on a port of its own, which it keeps over a restart."""

    def __init__(self, dsn: str, jwks: Path, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._environment = os.environ | {
            "PARTSTREAM_INVENTORY_DATABASE_URL": dsn,
            "PARTSTREAM_JWKS": str(jwks),
            "PARTSTREAM_REVOCATION_TARGETS": "none",
            "PARTSTREAM_INVENTORY_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin; ``ready`` says when it responses."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "inventory_svc", "serve"], env=self._environment, stderr=log
            )

    async def ready(self) -> None:
        """Return once it responses."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), GIVE_UP_SECONDS)

    def pause(self) -> None:
        """Stop it where it is, as a hung machine would."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


class Crowd:
    """Callers over several replicas: each call goes to the next one, and to the one after it until it is answered."""

    def __init__(self, ports: list[int], key: SigningKey) -> None:
        self._key = key
        self._channels = [
            open_channel(
                [f"127.0.0.1:{port}"],
                token=lambda: key.mint(subject=ADMIN_ID, name="admin", permissions=SERVICE_PERMISSIONS),
            )
            for port in ports
        ]
        stubs: list[Any] = [InventoryServiceStub(channel) for channel in self._channels]
        self.replicas: list[InventoryServiceAsyncStub] = stubs
        self._next = itertools.cycle(range(len(ports)))
        self.histories: dict[str, History] = {}
        self.retries = 0

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()

    async def ask(self, method: str, request: Any) -> Any:
        """The answer to a request, whatever it takes; a refusal is raised as its error."""
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while True:
            stub = self.replicas[next(self._next)]
            try:
                return await getattr(stub, method)(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() not in UNKNOWN or time.monotonic() > give_up_at:
                    raise from_rpc_error(error) from error
                self.retries += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def have(self, part_id: str, on_hand: int) -> str:
        """Make a level and begin its history."""
        await self.ask(
            "SetStock",
            pb.SetStockRequest(request_id=str(uuid.uuid4()), part_id=part_id, on_hand=on_hand, expected_version=0),
        )
        self.histories[part_id] = History(on_hand)
        return part_id

    async def adjust(self, part_id: str, delta: int) -> bool:
        """Change a level by a difference and remember what was said; whether it was done."""
        request = pb.AdjustStockRequest(request_id=str(uuid.uuid4()), part_id=part_id, delta=delta, reason="storm")
        return await self._remember(part_id, Kind.ADJUST, delta, lambda: self.ask("AdjustStock", request))

    async def count(self, part_id: str, on_hand: int, expected_version: int | None = None) -> bool:
        """Set a level and remember what was said; whether it was done."""
        request = pb.SetStockRequest(
            request_id=str(uuid.uuid4()),
            part_id=part_id,
            on_hand=on_hand,
            expected_version=expected_version,
            unconditional=expected_version is None,
        )
        return await self._remember(part_id, Kind.SET, on_hand, lambda: self.ask("SetStock", request))

    async def read(self, part_id: str) -> stock_pb2.StockLevel:
        """Look at a level and remember what was seen."""
        began = time.perf_counter()
        response = await self.ask("GetStock", pb.GetStockRequest(part_id=part_id))
        level: stock_pb2.StockLevel = response.stock.levels[0]
        ended = time.perf_counter()
        self.histories[part_id].operations.append(Operation(Kind.READ, began, ended, level.version, level.on_hand))
        return level

    async def _remember(self, part_id: str, kind: Kind, amount: int, call: Callable[[], Awaitable[Any]]) -> bool:
        began = time.perf_counter()
        try:
            level = (await call()).level
        except PartstreamError as error:
            level = error.current
            is_refused = True
        else:
            is_refused = False
        ended = time.perf_counter()
        operation = Operation(kind, began, ended, level.version, level.on_hand, amount, is_refused)
        self.histories[part_id].operations.append(operation)
        return not is_refused

    def check(self) -> None:
        """Every history is linearizable."""
        for history in self.histories.values():
            history.check()


@asynccontextmanager
async def replica_processes(dsn: str, folder: Path, key: SigningKey, count: int = 2) -> AsyncIterator[list[Replica]]:
    """Processes of the service on one database."""
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    replicas = [Replica(dsn, jwks, folder / f"replica-{number}.log") for number in range(count)]
    try:
        for replica in replicas:
            replica.start()
        await asyncio.gather(*(replica.ready() for replica in replicas))
        yield replicas
    finally:
        for replica in replicas:
            replica.stop()
