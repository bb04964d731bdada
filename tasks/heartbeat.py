"""A sign of life in Redis, for status pages: it ends by itself when its process does."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from typing import TYPE_CHECKING

from redis import RedisError

from chassis.background import BackgroundService

if TYPE_CHECKING:
    import redis.asyncio as redis

    from tasks.redis_presence import RedisPresence

PREFIX = "partstream:heartbeat:"
INTERVAL_SECONDS = 5.0
_WHILE_AWAY_SECONDS = 1.0
_FAREWELL_SECONDS = 0.5
_LIFE_SECONDS = 15  # three beats


class Heartbeat(BackgroundService):
    """Beats for one process, and notices when Redis goes away and comes back."""

    def __init__(self, client: redis.Redis, role: str, presence: RedisPresence) -> None:
        """``role`` is ``worker`` or ``scheduler``; ``presence`` is told what each beat finds."""
        super().__init__(f"{role} heartbeat", INTERVAL_SECONDS)
        self._presence = presence
        self._client = client
        self._role = role
        self._key = f"{PREFIX}{role}:{socket.gethostname()}:{os.getpid()}"
        self._started = time.time()

    async def run_once(self) -> None:
        """Say that this process is alive."""
        beat = {"role": self._role, "pid": os.getpid(), "started_at": self._started, "at": time.time()}
        try:
            await self._client.set(self._key, json.dumps(beat), ex=_LIFE_SECONDS)
        except (RedisError, OSError) as error:
            self._presence.lost(error)
            self.interval_seconds = _WHILE_AWAY_SECONDS
        else:
            self._presence.found()
            self.interval_seconds = INTERVAL_SECONDS

    async def stop(self) -> None:
        """Stop, and take the sign away."""
        await super().stop()
        # Nobody waits for it: the sign ends by itself.
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await self._client.delete(self._key)
