"""The dependencies of a worker or scheduler, for its operations port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.errors import StoreUnavailable
from chassis.operations import CheckResult, HealthDetails, checked, summarised

if TYPE_CHECKING:
    from chassis.database import Database
    from tasks.audit.recorder import Recorder
    from tasks.redis_presence import RedisPresence

# A shorter outage can be a restart of Redis, and a process starts without it. After this a worker is useless.
REDIS_SECONDS: Final = 30.0


class Dependencies:
    """Set during startup. A started process keeps running without them: jobs wait in the change logs."""

    def __init__(self) -> None:
        """Start without a dependency."""
        self.database: Database | None = None
        self.redis: RedisPresence | None = None
        self.recorder: Recorder | None = None

    async def health(self) -> HealthDetails:
        """Return ``degraded`` while a dependency is unavailable.

        A worker is ``down`` while it cannot store the audit trail.
        """
        results = {}
        stores = self.recorder is not None
        if self.database is not None:
            results["database"] = await checked(self.database.ping, required=stores)
            results["writes"] = await checked(self.database.state.check_writes, required=False)
        if self.redis is not None:
            required = stores and self.redis.unavailable_seconds > REDIS_SECONDS
            results["redis"] = await checked(self._ping_redis, required=required)
        if self.recorder is not None:
            fault = self.recorder.fault
            results["audit-trail"] = CheckResult("ok" if fault is None else "down", detail=fault or "")
        return summarised(results)

    async def _ping_redis(self) -> None:
        if self.redis is not None and self.redis.is_unavailable:
            message = "Redis is unavailable."
            raise StoreUnavailable(message)
