"""A sign of life in Redis, for status pages: it ends by itself when its process does."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING

from chassis.background import BackgroundService

if TYPE_CHECKING:
    import redis.asyncio as redis

PREFIX = "partstream:heartbeat:"
INTERVAL_SECONDS = 5.0
_LIFE_SECONDS = 15  # three beats


class Heartbeat(BackgroundService):
    """Beats for one process."""

    def __init__(self, client: redis.Redis, role: str) -> None:
        """``role`` is ``worker`` or ``scheduler``."""
        super().__init__(f"{role} heartbeat", INTERVAL_SECONDS)
        self._client = client
        self._role = role
        self._key = f"{PREFIX}{role}:{socket.gethostname()}:{os.getpid()}"
        self._started = time.time()

    async def run_once(self) -> None:
        """Say that this process is alive."""
        beat = {"role": self._role, "pid": os.getpid(), "started_at": self._started, "at": time.time()}
        await self._client.set(self._key, json.dumps(beat), ex=_LIFE_SECONDS)

    async def stop(self) -> None:
        """Stop, and take the sign away."""
        await super().stop()
        await self._client.delete(self._key)
