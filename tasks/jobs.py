"""The public interface of this package: queue a job, and read the depth of a queue.

A job is not the record of a fact: one that is lost with Redis is queued again from the change log.
"""

from __future__ import annotations

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from dramatiq import Message

from tasks.broker import AUDIT_QUEUE, NAMESPACE, WARMING_QUEUE, open_broker
from tasks.errors import JobsUnavailable

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Sequence

    from tasks.alerts.reporter import Alerts
    from tasks.guarded_broker import GuardedBroker

__all__ = ["AUDIT_QUEUE", "WARMING_QUEUE", "JobQueue", "JobsUnavailable", "QueueDepth", "RecordChanges", "RecordGap"]

Result = TypeVar("Result")

RECORD_CHANGES = "record_changes"
RECORD_GAP = "record_gap"
WARM_PAGES = "warm_pages"

MAX_PAGES_PER_JOB = 100


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """Entries ``first`` to ``last`` of an epoch of a service's log, as one serialised watch response."""

    service: str
    epoch: uuid.UUID
    first: int
    last: int
    response: bytes


@dataclass(frozen=True, slots=True)
class RecordGap:
    """Entries of a service that are no longer available: its trail continues after ``revision`` of ``epoch``."""

    service: str
    epoch: uuid.UUID
    revision: int
    cause: str


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The number of jobs that wait to be fetched, that wait for a retry, and that are dead letters."""

    waiting: int
    delayed: int
    dead: int


class JobQueue:
    """The broker, for an asyncio process. Dramatiq's client blocks, so its calls run in one thread, in order."""

    def __init__(self, broker: GuardedBroker) -> None:
        """Use a broker."""
        self._broker = broker
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobs")

    @classmethod
    def open(cls, redis_url: str, alerts: Alerts | None = None) -> JobQueue:
        """Return a queue on a Redis server, which may still be unavailable."""
        return cls(open_broker(redis_url, alerts=alerts))

    def close(self) -> None:
        """Close the connections; a call in progress ends by its timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._broker.client.close()

    async def record_changes(self, job: RecordChanges) -> None:
        """Queue entries for the audit trail; raise ``JobsUnavailable`` when Redis is unavailable."""
        await self._enqueue(
            AUDIT_QUEUE,
            RECORD_CHANGES,
            service=job.service,
            epoch=str(job.epoch),
            first=job.first,
            last=job.last,
            response=base64.b64encode(job.response).decode(),
        )

    async def record_gap(self, job: RecordGap) -> None:
        """Queue the record of a gap; raise ``JobsUnavailable`` when Redis is unavailable."""
        await self._enqueue(
            AUDIT_QUEUE, RECORD_GAP, service=job.service, epoch=str(job.epoch), revision=job.revision, cause=job.cause
        )

    async def warm_pages(self, part_ids: Sequence[str], token: str) -> None:
        """Queue reads of at most 100 product pages at a token; raise ``JobsUnavailable`` when Redis is unavailable."""
        await self._enqueue(
            WARMING_QUEUE,
            WARM_PAGES,
            part_ids=list(part_ids[:MAX_PAGES_PER_JOB]),
            token=token,
            queued_at=time.time(),
        )

    async def depth(self, queue: str) -> QueueDepth:
        """Return the depth of a queue; raise ``JobsUnavailable`` when Redis is unavailable."""
        return await self._call(lambda: self._broker.guarded(lambda: self._depth(queue)))

    async def set_orphans_aside(self, queue: str) -> int:
        """Quarantine jobs that no worker can fetch; return how many. Raise ``JobsUnavailable`` without Redis."""
        return await self._call(lambda: self._broker.guarded(lambda: self._broker.set_orphans_aside(queue)))

    def _depth(self, queue: str) -> QueueDepth:
        with self._broker.client.pipeline(transaction=False) as pipe:
            pipe.llen(f"{NAMESPACE}:{queue}")
            pipe.hlen(f"{NAMESPACE}:{queue}.DQ.msgs")
            pipe.zcard(f"{NAMESPACE}:{queue}.XQ")
            waiting, delayed, dead = pipe.execute()
        return QueueDepth(waiting, delayed, dead)

    async def _enqueue(self, queue: str, actor: str, **arguments: Any) -> None:
        message: Message[None] = Message(queue, actor, (), arguments, {})
        await self._call(lambda: self._broker.enqueue(message))

    async def _call(self, action: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, action)
        except (redis.RedisError, OSError) as error:
            raise JobsUnavailable(str(error)) from error
