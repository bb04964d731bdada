"""Alerts for what an edge observes: databases, replicas, and retention held by a follower."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from chassis.background import BackgroundService
from chassis.errors import PartstreamError
from chassis.store_errors import UNAVAILABLE
from partstream.changes.v1.change_log_service_pb2 import GetLogStatusRequest, GetLogStatusResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chassis.store_state import StoreState
    from edge.upstream.clients import Services
    from edge.upstream.replicas import Replicas
    from tasks.alerts.reporter import Alerts

DATABASE_UNAVAILABLE: Final = "database_unavailable"
WRITES_FAILING: Final = "database_writes_failing"
REPLICA_LEFT_OUT: Final = "replica_left_out"
CONDITION_SECONDS: Final = 1.0


class ConditionAlerts(BackgroundService):
    """Fires an alert while a condition holds, and resolves it afterwards."""

    def __init__(self, alerts: Alerts, stores: Sequence[StoreState], services: Sequence[Replicas]) -> None:
        """``stores`` are the databases that the edge uses itself; services report theirs."""
        super().__init__("condition-alerts", CONDITION_SECONDS)
        self._alerts = alerts
        self._stores = stores
        self._services = services

    async def run_once(self) -> None:
        """Compare the current conditions with the firing alerts."""
        for store in self._stores:
            is_unavailable = store.cause == UNAVAILABLE.cause
            self._set(DATABASE_UNAVAILABLE, store.name, "the edge cannot reach it" if is_unavailable else "")
            self._set(WRITES_FAILING, store.name, store.cause if not is_unavailable else "")
        for service in self._services:
            self._look_at(service)

    def _look_at(self, service: Replicas) -> None:
        for replica in service.all:
            self._set(REPLICA_LEFT_OUT, f"{service.name} {replica.target}", replica.cause or replica.trouble)
        troubles = {replica.trouble for replica in service.all}
        self._set(
            DATABASE_UNAVAILABLE, service.name, "its service cannot reach it" if troubles == {"not_serving"} else ""
        )
        serving = [replica for replica in service.all if replica.serves]
        failing = bool(serving) and not any(replica.takes_writes for replica in serving)
        self._set(WRITES_FAILING, service.name, "see the log of its service for the cause" if failing else "")

    def _set(self, name: str, subject: str, detail: str) -> None:
        if detail:
            self._alerts.fire(name, subject, detail)
        else:
            self._alerts.resolve(name, subject)


log = logging.getLogger(__name__)

RETENTION_HELD: Final = "retention_held"
RETENTION_SECONDS: Final = 15.0  # the services check every 10 s


class RetentionWatch(BackgroundService):
    """Asks both services which follower holds up retention: they have no access to the table of alerts."""

    def __init__(self, services: Services, alerts: Alerts) -> None:
        """Report to the alerts of this process."""
        super().__init__("retention-watch", RETENTION_SECONDS)
        self._alerts = alerts
        request = GetLogStatusRequest()
        self._ask: dict[str, Callable[[], Awaitable[Any]]] = {
            "inventory": lambda: services.call_upstream(services.inventory_log.GetLogStatus, request, own=True),
            "content": lambda: services.call_upstream(services.content_log.GetLogStatus, request, own=True),
        }

    async def run_once(self) -> None:
        """Check both logs; one whose service is unavailable retains its alerts."""
        await asyncio.gather(*(self._look(name) for name in self._ask))

    async def _look(self, name: str) -> None:
        try:
            status: GetLogStatusResponse = await self._ask[name]()
        except PartstreamError as error:
            log.debug("retention unknown log=%s error=%r", name, error)
            return
        held = f"{name}/{status.held_by}" if status.held_by else ""
        for subject in self._alerts.firing(RETENTION_HELD):
            if subject.startswith(f"{name}/") and subject != held:
                self._alerts.resolve(RETENTION_HELD, subject)
        if held:
            self._alerts.fire(RETENTION_HELD, held, _detail(status))


def _detail(status: GetLogStatusResponse) -> str:
    reached = next((item.revision for item in status.followers if item.name == status.held_by), 0)
    return (
        f"follower {status.held_by} has reached revision {reached} of {status.head_revision}; the log begins at "
        f"{status.oldest_revision} and takes {status.disk_bytes / 1024**2:.0f} MiB"
    )
