"""Concurrent writers of both replicas, and SQL transactions outside the service."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc

from chassis.channels import open_channel
from chassis.store_errors import STORE_FAILURES
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.reservation_pb2 import ReservationLine
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = tuple(f"part-{number:02}" for number in range(24))
LOCATIONS = ("main", "north")
_CALL_SECONDS = 3.0
_PAUSE_SECONDS = 0.03

SEED = """
WITH shown AS (
    INSERT INTO part_visibility (part_id, published, revision) SELECT part, true, 1 FROM unnest($1::text[]) AS part
)
INSERT INTO stock_level (part_id, location_id, on_hand)
SELECT part, location, 500 FROM unnest($1::text[]) AS part, unnest($2::text[]) AS location
"""


class Storm:
    """Writers of one replica. ``acknowledged`` has part and revision token of each successful write."""

    def __init__(self, port: int, token: Callable[[], str], rng: random.Random) -> None:
        self._channel = open_channel([f"127.0.0.1:{port}"], token=token)
        self._stub: Any = InventoryServiceStub(self._channel)
        self._rng = rng
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopped = False
        self.acknowledged: list[tuple[str, str]] = []
        self.rejected = 0

    def start(self, writers: int) -> None:
        """Start to write."""
        self._tasks = [asyncio.create_task(self._write()) for _ in range(writers)]

    async def stop(self) -> None:
        """Stop writing and disconnect; raise the error of a writer that failed.

        Running calls are awaited: one that is cancelled may still be written later.
        """
        self._is_stopped = True
        await asyncio.gather(*self._tasks)
        await self._channel.close()

    async def _write(self) -> None:
        calls = (self._adjust, self._adjust, self._adjust_many, self._set, self._transfer, self._reserve)
        while not self._is_stopped:
            await asyncio.sleep(self._rng.uniform(0, _PAUSE_SECONDS))
            part_id = self._rng.choice(PARTS)
            try:
                response = await self._rng.choice(calls)(part_id)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                self.rejected += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self.acknowledged.append((part_id, response.revision_token))

    async def _adjust(self, part_id: str) -> Any:
        delta = self._rng.choice((-3, -1, 1, 5))
        return await self._stub.AdjustStock(
            pb.AdjustStockRequest(
                part_id=part_id, location_id=self._rng.choice(LOCATIONS), delta=delta, reason="storm"
            ),
            timeout=_CALL_SECONDS,
        )

    async def _adjust_many(self, part_id: str) -> Any:
        chosen = self._rng.sample(PARTS, self._rng.randint(2, 12))
        items = [pb.StockAdjustment(part_id=other, delta=1, reason="storm") for other in chosen]
        return await self._stub.BatchAdjustStock(
            pb.BatchAdjustStockRequest(request_id=str(uuid.uuid4()), adjustments=items), timeout=_CALL_SECONDS
        )

    async def _set(self, part_id: str) -> Any:
        on_hand = self._rng.randint(400, 600)
        return await self._stub.SetStock(
            pb.SetStockRequest(part_id=part_id, on_hand=on_hand, unconditional=True), timeout=_CALL_SECONDS
        )

    async def _transfer(self, part_id: str) -> Any:
        return await self._stub.TransferStock(
            pb.TransferStockRequest(part_id=part_id, to_location_id="north", quantity=1), timeout=_CALL_SECONDS
        )

    async def _reserve(self, part_id: str) -> Any:
        line = ReservationLine(part_id=part_id, quantity=1)
        request = pb.CreateReservationRequest(lines=[line])
        request.ttl.FromSeconds(60)
        return await self._stub.CreateReservation(request, timeout=_CALL_SECONDS)


async def run_sql(dsn: str, *statements: str, commit: bool = True, hold: asyncio.Event | None = None) -> bool:
    """Run a SQL transaction, open until ``hold`` is set; return whether it was committed."""
    try:
        connection = await asyncpg.connect(dsn, timeout=3, command_timeout=20)
    except STORE_FAILURES:
        return False
    try:
        await connection.execute("BEGIN")
        for statement in statements:
            await connection.execute(statement)
        if hold is not None:
            await hold.wait()
        await connection.execute("COMMIT" if commit else "ROLLBACK")
    except STORE_FAILURES:
        return False
    else:
        return commit
    finally:
        connection.terminate()
