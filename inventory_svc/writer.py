"""Group commit: requests wait in one bounded queue; whatever waits is decided and committed in one transaction.

Waiting is never added: an idle writer commits a lone request at once. A request whose caller has gone is not applied
unless it was already claimed. When a transaction fails, its requests are retried alone, so that one cannot take the
others down. The algorithm is the group commit of DeWitt et al., "Implementation techniques for main memory database
systems" (1984), moved from the log's page to the service's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

import asyncpg

from changelog.handoff import Handoff
from chassis.background import Backoff
from chassis.database import WRITE_IDLE_TIMEOUT, BoundedConnection
from chassis.errors import DeadlinePassed, Draining, Overloaded
from chassis.store_errors import CONNECTION_LOST, TOO_LATE, UNAVAILABLE, meaning_of, translated
from chassis.store_state import StoreState
from inventory_svc.batch import run_batch
from inventory_svc.commands import locked_levels
from inventory_svc.errors import explain_refusal
from inventory_svc.job import Answer, Job, join_twins, unexpected
from inventory_svc.quarantine import Quarantine, refuse_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

MAX_BATCH_REQUESTS = 512
MAX_BATCH_WEIGHT = 2000  # items: about 150 ms of one transaction
MAX_WAITING_WEIGHT = 20_000  # items in the queue: about 2 s of work
ATTEMPTS = 4  # for conflicts between replicas that a new transaction resolves
RECONNECT_SECONDS = 3.0  # how long waiting requests outlive a lost database
COMMAND_SECONDS = 8.0  # for one statement: a backend that hangs holds up every write for so long
LOG_LOCK_SECONDS = 3.0  # who waited longer did not wait for a row
LOCK_TIMEOUT = "1s"  # for a whole batch: somebody at a SQL shell may sit on a row

# Every connection of the writer says who it is, so that the triggers know its changes from those made by hand.
_SERVER_SETTINGS = {
    "partstream.source": "service",
    "application_name": "inventory_svc writer",
    "timezone": "UTC",
    "lock_timeout": LOCK_TIMEOUT,
    # A plan made while a table is empty would scan it for as long as the session lives.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "idle_in_transaction_session_timeout": WRITE_IDLE_TIMEOUT,
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def _met_another(error: asyncpg.PostgresError) -> bool:
    """Whether two replicas met, so that a new transaction sees the other's rows and decides again."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return bool(error.constraint_name == "stock_level_pkey")  # made between our look and our write
    return isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError)


class _Patience:
    """How often and how long one batch is tried."""

    def __init__(self) -> None:
        self._attempts = ATTEMPTS
        self._backoff = Backoff(0.02, 0.5)
        self._until = time.monotonic() + RECONNECT_SECONDS

    def allows_attempt(self) -> bool:
        """Whether another attempt may be made now; counts it."""
        self._attempts -= 1
        return self._attempts > 0

    @property
    def is_over(self) -> bool:
        """Whether the database has been away for too long."""
        return time.monotonic() > self._until

    async def pause(self) -> None:
        """Wait before the database is tried again."""
        await asyncio.sleep(self._backoff.next())


class Writer:
    """The one path by which the service writes: a queue, a connection of its own, and a loop."""

    def __init__(
        self,
        dsn: str,
        *,
        on_commit: Callable[[], None],
        handoff: Handoff | None = None,
        store: StoreState | None = None,
    ) -> None:
        """``on_commit`` is called after every commit that changed something; ``handoff`` has its entries then.

        ``store`` notes what writes meet.
        """
        self._dsn = dsn
        self._store = store or StoreState("inventory")
        self._on_commit = on_commit
        self._handoff = handoff or Handoff()
        self._waiting: deque[Job] = deque()
        self._waiting_weight = 0
        self._arrived = asyncio.Event()
        self._is_closing = False
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._known_users: dict[str, str] = {}
        self._quarantine = Quarantine()
        self._loop: asyncio.Task[None] | None = None

    async def submit(self, job: Job) -> Answer:
        """Wait for the answer; ``Overloaded`` when too much waits already. Cancelling gives the request up."""
        self.enqueue(job)
        return await job.future

    def enqueue(self, job: Job) -> None:
        """Let a job wait for its turn, its future for the answer. Cancelling the future gives the request up."""
        if self._is_closing:
            message = "The server is being replaced: connect again."
            raise Draining(message, retry_after_seconds=0.2)
        if self._waiting_weight + job.weight > MAX_WAITING_WEIGHT:
            message = "Too many writes are waiting: come again shortly."
            raise Overloaded(message, retry_after_seconds=1.0)
        self._waiting.append(job)
        self._waiting_weight += job.weight
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to work off the queue."""
        self._loop = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Take nothing new, finish what waits, close the connection."""
        self._is_closing = True
        self._arrived.set()
        if self._loop is not None:
            await self._loop
        self._drop_connection()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            jobs = self._take()
            if jobs:
                while jobs:
                    now, later = join_twins(jobs)
                    await self._commit(now)
                    jobs = [job for job in later if not job.future.done()]
            elif self._is_closing:
                return
            else:
                self._arrived.clear()

    def _take(self) -> list[Job]:
        """The next batch, without the requests whose callers have gone."""
        jobs: list[Job] = []
        weight = 0
        while self._waiting and len(jobs) < MAX_BATCH_REQUESTS:
            job = self._waiting[0]
            if jobs and weight + job.weight > MAX_BATCH_WEIGHT:
                break
            self._waiting.popleft()
            self._waiting_weight -= job.weight
            if not job.future.done():
                jobs.append(job)
                weight += job.weight
        return jobs

    async def _commit(self, jobs: Sequence[Job]) -> None:
        """Commit a batch; alone what cannot be committed together. Every job is answered when this returns."""
        try:
            await self._commit_together(jobs)
        except asyncpg.PostgresError as error:
            self._known_users.clear()
            meaning = meaning_of(error)
            if meaning is not None and meaning.is_condition:
                # Sessions keep the settings they began with: one that began read-only stays so.
                self._drop_connection()
                self._give_up(jobs, error)
            elif len(jobs) == 1:
                self._refuse(jobs[0], error)
            else:
                log.warning("a batch of %d is retried one by one: %s", len(jobs), type(error).__name__)
                await self._commit_alone(jobs)
        except Exception as error:
            log.exception("a batch of %d failed", len(jobs))
            if len(jobs) == 1:
                jobs[0].refuse(unexpected(error))
                return
            await self._commit_alone(jobs)

    async def _commit_alone(self, jobs: Sequence[Job]) -> None:
        """Commit each by itself; when one alone exceeds the database's time limit, the rest would wait as long each."""
        for at, job in enumerate(jobs):
            await self._commit((job,))
            if job.future.done() and not job.future.cancelled() and isinstance(job.future.exception(), DeadlinePassed):
                for other in jobs[at + 1 :]:
                    other.refuse(TOO_LATE.error())
                return

    async def _commit_together(self, jobs: Sequence[Job]) -> None:
        jobs = self._quarantine.admit(jobs)
        patience = _Patience()
        while jobs:
            try:
                jobs = await self._attempt(jobs, patience)
            except asyncpg.PostgresError as error:
                if isinstance(error, CONNECTION_LOST):
                    jobs = await self._wait_for_database(jobs, patience, error)
                elif not _met_another(error) or not patience.allows_attempt():
                    raise
            except CONNECTION_LOST as error:
                jobs = await self._wait_for_database(jobs, patience, error)

    async def _attempt(self, jobs: Sequence[Job], patience: _Patience) -> Sequence[Job]:
        """Commit them; return those that are left because others are locked."""
        connection = await self.connected()
        began = time.monotonic()
        try:
            await run_batch(connection, jobs, self._known_users, self._on_commit, self._handoff)
        except asyncpg.LockNotAvailableError:
            if time.monotonic() - began > LOG_LOCK_SECONDS:
                refuse_locked(jobs)  # it was the log's lock: another attempt would wait as long
                return ()
            return await self._set_aside_locked(jobs, patience)
        return ()

    async def _set_aside_locked(self, jobs: Sequence[Job], patience: _Patience) -> Sequence[Job]:
        """The jobs whose levels nobody outside has locked; all are refused when it is not levels that are locked."""
        if not patience.allows_attempt():
            refuse_locked(jobs)
            return ()
        try:
            locked = await locked_levels(await self.connected(), [job.intent.needs() for job in jobs])
        except asyncpg.LockNotAvailableError:  # the table itself is locked
            refuse_locked(jobs)
            return ()
        self._quarantine.isolate(locked)
        return self._quarantine.admit(jobs)

    async def _wait_for_database(self, jobs: Sequence[Job], patience: _Patience, error: BaseException) -> Sequence[Job]:
        """The same jobs after a pause, or none when they have waited long enough."""
        self._drop_connection()
        self._store.met(error)
        if patience.is_over:
            self._give_up(jobs, error)
            return ()
        await patience.pause()
        return jobs

    def _give_up(self, jobs: Sequence[Job], error: BaseException) -> None:
        """Refuse jobs for a condition of the database."""
        self._store.met(error)
        log.debug("%d requests are given up: %r", len(jobs), error)
        for job in jobs:
            job.refuse(translated(error) or UNAVAILABLE.error())

    def _refuse(self, job: Job, error: asyncpg.PostgresError) -> None:
        if isinstance(error, asyncpg.DeadlockDetectedError):
            refuse_locked((job,))
            return
        explained = translated(error) or explain_refusal(getattr(error, "constraint_name", None))
        log.info("the database refused %s: %s", type(job.intent).__name__, error)
        job.refuse(explained)

    async def connected(self) -> asyncpg.Connection[asyncpg.Record]:
        """The writer's connection, opened again when it was lost."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(
                self._dsn,
                timeout=3,
                command_timeout=COMMAND_SECONDS,
                server_settings=_SERVER_SETTINGS,
                connection_class=BoundedConnection,
            )
            self._connection = connection
            self._known_users.clear()
        return connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()
