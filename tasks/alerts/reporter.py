"""Reports alerts of one process: at once to its log and metrics, soon afterwards to the edge's database.

``fire`` and ``resolve`` are called wherever a condition is seen, as often as it is seen, from any thread; only a change
of state has an effect. What could not be stored waits in memory, within a bound, and is stored when the database is
available again. An alert is renewed every 15 s; when its process ends, another reporter resolves it after a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from prometheus_client import Counter, Gauge, disable_created_metrics

from chassis.background import BackgroundService
from tasks.alerts.definitions import ALERTS
from tasks.alerts.store import AlertStore, Episode

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("partstream.alerts")

# A `_created` series doubles the series of every counter, and no rule or dashboard reads one.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Subjects for which an alert of this process is firing.
FIRING: Final = Gauge("partstream_alert_firing", "Subjects for which the alert is firing.", ("name", "severity"))
# Changes of state, by what the state became.
CHANGES: Final = Counter("partstream_alert_changes_total", "Alerts fired and resolved.", ("name", "state"))

RENEW_SECONDS: Final = 15.0
MOST_FIRING: Final = 200  # a process that sees more conditions than this is described by those it has
MOST_UNSTORED: Final = 1_000  # resolved ones that wait for the database; the oldest are only in the log
_MOST_SUBJECT: Final = 200
_MOST_DETAIL: Final = 1_000
_DELETE_OLD_SECONDS: Final = 3_600.0
_STOP_SECONDS: Final = 1.0


class Alerts(BackgroundService):
    """The alerts of this process."""

    def __init__(self, role: str, database_url: str | None = None) -> None:
        """Report as ``role``; without a database alerts are in the log and in the metrics only."""
        super().__init__("alerts", RENEW_SECONDS)
        self.reporter = f"{role}@{socket.gethostname()[:100]}:{os.getpid()}-{secrets.token_hex(4)}"
        self._store = None if database_url is None else AlertStore(database_url)
        self._lock = threading.Lock()
        self._firing: dict[tuple[str, str], Episode] = {}
        self._ended: deque[Episode] = deque(maxlen=MOST_UNSTORED)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deleted_at = 0.0

    def fire(self, name: str, subject: str, detail: str, *, seconds: float | None = None) -> None:
        """Report that a condition holds; while it already does, only the detail is replaced.

        ``name`` is one of ``definitions.ALERTS``. With ``seconds`` it is resolved by itself when it was not fired
        again for so long: for what happens, and does not last.
        """
        definition = ALERTS[name]
        ends_at = None if seconds is None else time.monotonic() + seconds
        subject, detail = _storable(subject, _MOST_SUBJECT), _storable(detail, _MOST_DETAIL)
        with self._lock:
            present = self._firing.get((name, subject))
            if present is not None:
                present.detail, present.ends_at = detail, ends_at
                return
            if len(self._firing) >= MOST_FIRING:
                return
            episode = Episode(uuid4(), name, subject, definition.severity, detail, datetime.now(UTC), ends_at=ends_at)
            self._firing[name, subject] = episode
            FIRING.labels(name, definition.severity).inc()
            CHANGES.labels(name, "firing").inc()
        level = logging.ERROR if definition.severity == "critical" else logging.WARNING
        log.log(level, "alert firing name=%s subject=%s detail=%s", name, subject, detail)
        self._wake()

    def resolve(self, name: str, subject: str) -> None:
        """Report that a condition no longer holds; without effect when it did not."""
        subject = _storable(subject, _MOST_SUBJECT)
        with self._lock:
            if not self._end((name, subject), "resolved"):
                return
        log.info("alert resolved name=%s subject=%s", name, subject)
        self._wake()

    def firing(self, name: str) -> list[str]:
        """Return the subjects for which an alert is firing here."""
        with self._lock:
            return [subject for known, subject in self._firing if known == name]

    def start(self) -> None:
        """Store and renew in the background."""
        self._loop = asyncio.get_running_loop()
        super().start()

    async def stop(self) -> None:
        """Stop; what is firing is stored as resolved, because it is no longer looked at."""
        await super().stop()
        with self._lock:
            for key in list(self._firing):
                self._end(key, "the reporter stopped")
        self._loop = None
        if self._store is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._write(self._store)
            self._store.close()

    async def run_once(self) -> None:
        """Store what changed, renew what is firing, and resolve what ended processes left."""
        self._end_by_time()
        if self._store is None:
            return
        try:
            await self._write(self._store)
            for name, subject, reporter in await self._store.resolve_lapsed(self.reporter):
                log.info("alert no longer reported name=%s subject=%s reporter=%s", name, subject, reporter)
            if time.monotonic() - self._deleted_at >= _DELETE_OLD_SECONDS:
                await self._store.delete_old()
                self._deleted_at = time.monotonic()
        except BaseException:
            self._store.close()
            raise

    def _end_by_time(self) -> None:
        now = time.monotonic()
        with self._lock:
            over = [key for key, one in self._firing.items() if one.ends_at is not None and one.ends_at <= now]
            for key in over:
                self._end(key, "resolved")
        for name, subject in over:
            log.info("alert resolved name=%s subject=%s", name, subject)

    async def _write(self, store: AlertStore) -> None:
        with self._lock:
            ended = list(self._ended)
            episodes = [replace(one) for one in (*ended, *self._firing.values())]
        if not episodes:
            return
        await store.store(self.reporter, episodes)
        with self._lock:
            self._forget(ended)

    def _forget(self, stored: Sequence[Episode]) -> None:
        """Drop what is stored; more may have been added meanwhile, and the oldest dropped for it."""
        known = {one.alert_id for one in stored}
        while self._ended and self._ended[0].alert_id in known:
            self._ended.popleft()

    def _end(self, key: tuple[str, str], resolution: str) -> bool:
        episode = self._firing.pop(key, None)
        if episode is None:
            return False
        episode.resolved_at, episode.resolution = datetime.now(UTC), resolution
        self._ended.append(episode)
        FIRING.labels(episode.name, episode.severity).dec()
        CHANGES.labels(episode.name, "resolved").inc()
        return True

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(self.nudge)


def _storable(text: str, most: int) -> str:
    """Return the text as PostgreSQL can store it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]
