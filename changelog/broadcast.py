"""Waking everyone who waits for the same thing, at the least cost for each: a future and a timer."""

from __future__ import annotations

import asyncio


class BroadcastEvent:
    """Rung for all who wait at the moment."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: dict[asyncio.Future[None], None] = {}

    async def wait(self, timeout_seconds: float) -> None:
        """Return when the bell rings, or after the time-out."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout_seconds, _wake, future)
        self._waiting[future] = None
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)

    def ring(self) -> None:
        """Wake them."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            _wake(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
