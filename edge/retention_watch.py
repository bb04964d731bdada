"""Retention of the change logs as an operator has to know of it: held up by a follower that does not advance.

The services see it, and have no access to the table of alerts; every edge asks them and reports it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from chassis.background import BackgroundService
from chassis.errors import PartstreamError
from partstream.changes.v1.change_log_service_pb2 import GetLogStatusRequest, GetLogStatusResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge.upstream.clients import Services
    from tasks.alerts.reporter import Alerts

log = logging.getLogger(__name__)

ALERT: Final = "retention_held"
INTERVAL_SECONDS: Final = 15.0  # the services look every 10 s


class RetentionWatch(BackgroundService):
    """Asks both services which follower holds up retention."""

    def __init__(self, services: Services, alerts: Alerts) -> None:
        """Report to the alerts of this process."""
        super().__init__("retention-watch", INTERVAL_SECONDS)
        self._alerts = alerts
        request = GetLogStatusRequest()
        self._ask: dict[str, Callable[[], Awaitable[Any]]] = {
            "inventory": lambda: services.call_upstream(services.inventory_log.GetLogStatus, request, own=True),
            "content": lambda: services.call_upstream(services.content_log.GetLogStatus, request, own=True),
        }

    async def run_once(self) -> None:
        """Look at both logs; one whose service is unavailable keeps the alerts that it has."""
        await asyncio.gather(*(self._look(name) for name in self._ask))

    async def _look(self, name: str) -> None:
        try:
            status: GetLogStatusResponse = await self._ask[name]()
        except PartstreamError as error:
            log.debug("retention of the %s log is unknown: %r", name, error)
            return
        held = f"{name}/{status.held_by}" if status.held_by else ""
        for subject in self._alerts.firing(ALERT):
            if subject.startswith(f"{name}/") and subject != held:
                self._alerts.resolve(ALERT, subject)
        if held:
            self._alerts.fire(ALERT, held, _detail(status))


def _detail(status: GetLogStatusResponse) -> str:
    reached = next((item.revision for item in status.followers if item.name == status.held_by), 0)
    return (
        f"follower {status.held_by} has reached revision {reached} of {status.head_revision}; the log begins at "
        f"{status.oldest_revision} and takes {status.disk_bytes / 1024**2:.0f} MiB"
    )
