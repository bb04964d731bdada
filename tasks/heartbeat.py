"""A heartbeat in Redis, for status pages: it expires after its process ended."""

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
_OUTAGE_INTERVAL_SECONDS = 1.0
_DELETE_SECONDS = 0.5
_LIFETIME_SECONDS = 15  # three intervals


class Heartbeat(BackgroundService):
    """Writes the heartbeat of one process, and detects outages of Redis."""

    def __init__(self, client: redis.Redis, role: str, presence: RedisPresence) -> None:
        """``role`` is ``worker`` or ``scheduler``; ``presence`` receives the result of each write."""
        super().__init__(f"{role} heartbeat", INTERVAL_SECONDS)
        self._presence = presence
        self._client = client
        self._role = role
        self._key = f"{PREFIX}{role}:{socket.gethostname()}:{os.getpid()}"
        self._started = time.time()

    async def run_once(self) -> None:
        """Write the heartbeat."""
        beat = {"role": self._role, "pid": os.getpid(), "started_at": self._started, "at": time.time()}
        try:
            await self._client.set(self._key, json.dumps(beat), ex=_LIFETIME_SECONDS)
        except (RedisError, OSError) as error:
            self._presence.lost(error)
            self.interval_seconds = _OUTAGE_INTERVAL_SECONDS
        else:
            self._presence.found()
            self.interval_seconds = INTERVAL_SECONDS

    async def stop(self) -> None:
        """Stop, and delete the heartbeat."""
        await super().stop()
        # A deletion that does not succeed in time is left out: the key expires.
        async with asyncio.timeout(_DELETE_SECONDS):
            await self._client.delete(self._key)
