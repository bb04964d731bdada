"""What a process of this room depends on, for its operations port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import StoreUnavailable
from chassis.operations import CheckResult, HealthDetails, checked, summarised

if TYPE_CHECKING:
    from chassis.database import Database
    from tasks.redis_presence import RedisPresence


class Dependencies:
    """Filled in while the process starts; from then on it runs without them: jobs wait in the change logs."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self.database: Database | None = None
        self.redis: RedisPresence | None = None
        self.started = False

    async def health(self) -> HealthDetails:
        """Return ``down`` until the process has started, then ``degraded`` while a dependency is unavailable."""
        results = {}
        if not self.started:
            results["process"] = CheckResult("down", detail="starting")
        if self.database is not None:
            results["database"] = await checked(self.database.ping, required=False)
            results["writes"] = await checked(self.database.state.check_writes, required=False)
        if self.redis is not None:
            results["redis"] = await checked(self._ping_redis, required=False)
        return summarised(results)

    async def _ping_redis(self) -> None:
        if self.redis is not None and self.redis.is_away:
            message = "Redis is unavailable."
            raise StoreUnavailable(message)
