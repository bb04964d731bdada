"""Alerts for what an edge sees of the databases and of the services' replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService
from chassis.store_errors import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chassis.store_state import StoreState
    from edge.upstream.replicas import Replicas
    from tasks.alerts.reporter import Alerts

DATABASE_UNAVAILABLE: Final = "database_unavailable"
WRITES_FAILING: Final = "database_writes_failing"
REPLICA_LEFT_OUT: Final = "replica_left_out"
INTERVAL_SECONDS: Final = 1.0


class ConditionAlerts(BackgroundService):
    """Fires while a condition holds, and resolves when it is over."""

    def __init__(self, alerts: Alerts, stores: Sequence[StoreState], services: Sequence[Replicas]) -> None:
        """``stores`` are of the databases that the edge uses itself; services report theirs."""
        super().__init__("condition-alerts", INTERVAL_SECONDS)
        self._alerts = alerts
        self._stores = stores
        self._services = services

    async def run_once(self) -> None:
        """Compare what is known now with what is firing."""
        for store in self._stores:
            is_away = store.cause == UNAVAILABLE.cause
            self._set(DATABASE_UNAVAILABLE, store.name, "the edge cannot reach it" if is_away else "")
            self._set(WRITES_FAILING, store.name, store.cause if not is_away else "")
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
        self._set(WRITES_FAILING, service.name, "the log of its service has the cause" if failing else "")

    def _set(self, name: str, subject: str, detail: str) -> None:
        if detail:
            self._alerts.fire(name, subject, detail)
        else:
            self._alerts.resolve(name, subject)
