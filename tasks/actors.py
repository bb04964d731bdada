"""The actors that Dramatiq runs: decode in a thread of the worker, then run in the event loop of the process."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from dramatiq import Actor
from dramatiq.middleware import Middleware

from tasks.audit.convert import rows_of
from tasks.audit.store import Batch, Gap
from tasks.broker import AUDIT_QUEUE, WARMING_QUEUE
from tasks.jobs import RECORD_CHANGES, RECORD_GAP, WARM_PAGES
from tasks.metrics import JOB_FAILURES, JOBS_DEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dramatiq import Broker

    from tasks.audit.recorder import Recorder
    from tasks.warming.pages import PageWarmer

Result = TypeVar("Result")

# The audit has priority: a page that is warmed a little later costs one reader a few milliseconds.
_AUDIT_PRIORITY = 0
_WARMING_PRIORITY = 10


class Actors:
    """The actors of a worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop, recorder: Recorder, warmer: PageWarmer) -> None:
        """``loop`` is the event loop of the database and the HTTP client."""
        self._loop = loop
        self._recorder = recorder
        self._warmer = warmer

    def declare(self, broker: Broker) -> None:
        """Declare the actors on a broker, so that its workers run their jobs."""
        self._declare(broker, self.record_changes, RECORD_CHANGES, AUDIT_QUEUE, _AUDIT_PRIORITY)
        self._declare(broker, self.record_gap, RECORD_GAP, AUDIT_QUEUE, _AUDIT_PRIORITY)
        # No retry: a page that was not warmed is soon read by a client.
        self._declare(broker, self.warm_pages, WARM_PAGES, WARMING_QUEUE, _WARMING_PRIORITY, max_retries=0)

    def record_changes(self, *, service: str, epoch: str, first: int, last: int, response: str) -> None:
        """Write entries to the audit trail."""
        rows = rows_of(service, base64.b64decode(response))
        self._run(self._recorder.record(Batch(service, uuid.UUID(epoch), first, last, rows)))

    def record_gap(self, *, service: str, epoch: str, revision: int, cause: str) -> None:
        """Write a gap row to the audit trail."""
        self._run(self._recorder.record_gap(Gap(service, uuid.UUID(epoch), revision, cause)))

    def warm_pages(self, *, part_ids: list[str], token: str, queued_at: float) -> None:
        """Read product pages, so that they are in the cache."""
        self._run(self._warmer.warm(part_ids, token, queued_at))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @staticmethod
    def _declare(
        broker: Broker, job: Callable[..., None], name: str, queue: str, priority: int, **options: object
    ) -> None:
        Actor(job, broker=broker, actor_name=name, queue_name=queue, priority=priority, options=options)


class CountFailures(Middleware):
    """Counts failed attempts and dead letters."""

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002 - Dramatiq's signature
        message: Any,
        *,
        result: object = None,  # noqa: ARG002 - likewise
        exception: BaseException | None = None,
    ) -> None:
        """Count a failed attempt."""
        if exception is not None:
            JOB_FAILURES.labels(message.actor_name).inc()

    def after_nack(self, broker: Broker, message: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Count a job that became a dead letter."""
        JOBS_DEAD.labels(message.actor_name).inc()
