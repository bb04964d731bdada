"""Plays snapshots through the inventory service, in order, each one's rows at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeAlias

from chassis.errors import FailedPrecondition, IllegalState, NotFound, PartstreamError
from cli.replay.movements import Reason
from cli.replay.plan import Wave, waves
from partstream.inventory.v1 import stock_service_pb2
from stack.service_calls.task_errors import first_error_only

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cli.replay.movements import Movement, Snapshot
    from cli.replay.report import ReplayReport
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls
    from stack.service_calls.run_journal import RunJournal

    Play: TypeAlias = Callable[[str, Movement], Awaitable[None]]

LOCATION = "main"
CALLS_UNDER_WAY = 64  # single-level calls; the service commits what waits together, so more callers mean larger commits


class Player:
    """Plays one snapshot after the other. A row that the service refuses is reported, and the others go on."""

    def __init__(
        self, inventory: InventoryServiceAsyncStub, calls: RetryingCalls, journal: RunJournal, report: ReplayReport
    ) -> None:
        self._inventory = inventory
        self._calls = calls
        self._journal = journal
        self._report = report
        self._single_calls = asyncio.Semaphore(CALLS_UNDER_WAY)

    async def play(self, snapshot: Snapshot) -> None:
        """Play all rows of a snapshot. Raises RetriesExhausted when the service stays unavailable."""
        for number, wave in enumerate(waves(snapshot.movements)):
            await self._play_wave(f"{snapshot.number}.{number}", wave)
        self._report.counts["rows"] += len(snapshot.movements)
        self._report.counts["snapshots"] += 1

    async def _play_wave(self, name: str, wave: Wave) -> None:
        self._report.counts["skipped"] += len(wave.skipped)
        with first_error_only():
            async with asyncio.TaskGroup() as group:
                for number, batch in enumerate(wave.batches()):
                    group.create_task(self._adjust(f"{name}.{number}", batch))
                for movement in wave.sets:
                    group.create_task(self._single(self._set, name, movement, "sets"))
                for movement in wave.archives:
                    group.create_task(self._single(self._archive, name, movement, "archives"))

    async def _adjust(self, name: str, batch: Sequence[Movement]) -> None:
        request = stock_service_pb2.BatchAdjustStockRequest(
            request_id=self._journal.request_id("adjust", name),
            adjustments=[_adjustment(movement) for movement in batch],
        )
        response = await self._calls(self._inventory.BatchAdjustStock, request)
        for movement, result in zip(batch, response.results, strict=True):
            if result.HasField("error"):
                self._report.refuse(movement, result.error.reason, result.error.message)
            else:
                self._report.counts["adjustments"] += 1

    async def _single(self, play: Play, name: str, movement: Movement, counted_as: str) -> None:
        async with self._single_calls:
            try:
                await play(name, movement)
            except PartstreamError as refusal:
                self._report.refuse_for(movement, refusal)
            else:
                self._report.counts[counted_as] += 1

    async def _set(self, name: str, movement: Movement) -> None:
        if movement.reason is Reason.RELISTED:
            await self._restore(name, movement)
        try:
            await self._calls(self._inventory.SetStock, self._setting("set", name, movement))
        except FailedPrecondition as error:
            if error.reason != "PART_ARCHIVED":
                raise
            # Left over from an earlier replay, at whose end the part was delisted.
            await self._restore(name, movement)
            await self._calls(self._inventory.SetStock, self._setting("set again", name, movement))

    def _setting(self, kind: str, name: str, movement: Movement) -> stock_service_pb2.SetStockRequest:
        return stock_service_pb2.SetStockRequest(
            request_id=self._journal.request_id(kind, name, movement.sku),
            part_id=movement.sku,
            location_id=LOCATION,
            on_hand=movement.after or 0,
            unconditional=True,
            allow_missing=True,
            reason=movement.reason,
        )

    async def _restore(self, name: str, movement: Movement) -> None:
        request = stock_service_pb2.RestoreStockRequest(
            request_id=self._journal.request_id("restore", name, movement.sku),
            part_id=movement.sku,
            location_id=LOCATION,
            reason=movement.reason,
        )
        # A level that is in use, or was never made, is as good as a restored one: what follows sets it.
        with contextlib.suppress(IllegalState, NotFound):
            await self._calls(self._inventory.RestoreStock, request)

    async def _archive(self, name: str, movement: Movement) -> None:
        request = stock_service_pb2.ArchiveStockRequest(
            request_id=self._journal.request_id("archive", name, movement.sku),
            part_id=movement.sku,
            location_id=LOCATION,
            reason=movement.reason,
        )
        await self._calls(self._inventory.ArchiveStock, request)


def _adjustment(movement: Movement) -> stock_service_pb2.StockAdjustment:
    return stock_service_pb2.StockAdjustment(
        part_id=movement.sku,
        location_id=LOCATION,
        delta=movement.delta or 0,
        expected_on_hand=movement.before,
        reason=movement.reason,
    )
