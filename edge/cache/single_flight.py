"""Single-flight: one load of the source for all who wait for the same value, and many values in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

ValueT = TypeVar("ValueT")

MAX_AT_ONCE = 500  # of one call; the services accept 1,000


class SingleFlight(Generic[ValueT]):
    """One call at a time per key; concurrent callers share its result.

    A cancelled caller does not cancel the others.
    """

    def __init__(self) -> None:
        """Start without calls."""
        self._pending: dict[Hashable, asyncio.Task[ValueT]] = {}

    async def run(self, key: Hashable, call: Callable[[], Awaitable[ValueT]]) -> ValueT:
        """Return the result of the running call, or of a new one."""
        load = self._pending.get(key)
        if load is None:
            load = asyncio.ensure_future(_awaited(call))
            self._pending[key] = load
            load.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(load)

    def _finish(self, key: Hashable, done: asyncio.Task[ValueT]) -> None:
        self._pending.pop(key, None)
        if not done.cancelled():
            done.exception()  # retrieved: its callers may all be cancelled


async def _awaited(call: Callable[[], Awaitable[ValueT]]) -> ValueT:
    return await call()


class BatchedSingleFlight(Generic[ValueT]):
    """Single-flight per identifier; all that is missed in one round of the event loop is loaded in one call."""

    def __init__(self, load: Callable[[list[str]], Awaitable[Mapping[str, ValueT]]]) -> None:
        """``load`` must return a value for every identifier."""
        self._load = load
        self._pending: dict[str, asyncio.Future[ValueT]] = {}
        self._waiting: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, ident: str) -> asyncio.Future[ValueT]:
        """Return the running load of an identifier, or a new one. Await it through ``asyncio.shield``."""
        load = self._pending.get(ident)
        if load is None:
            loop = asyncio.get_running_loop()
            load = self._pending[ident] = loop.create_future()
            if not self._waiting:
                loop.call_soon(self._start_batches)
            self._waiting.append(ident)
        return load

    def _start_batches(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MAX_AT_ONCE):
            task = asyncio.ensure_future(self._run_batch(waiting[start : start + MAX_AT_ONCE]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_batch(self, idents: list[str]) -> None:
        try:
            results = await self._load(idents)
        except BaseException as error:
            for ident in idents:
                load = self._pending.pop(ident)
                if not load.done():
                    load.set_exception(error)
                    load.exception()  # retrieved: its callers may all be cancelled
            if not isinstance(error, Exception):
                raise
            return
        for ident in idents:
            load = self._pending.pop(ident)
            if not load.done():
                load.set_result(results[ident])
