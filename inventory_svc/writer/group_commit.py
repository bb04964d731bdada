"""Group commit: pending writes wait in one bounded queue; all that wait are decided and committed in one transaction.

There is no added delay: an idle writer commits a single request at once. A request whose caller has cancelled is not
applied unless it was already claimed. When a transaction fails, its requests are retried one by one, so that one cannot
fail the others. The algorithm is the group commit of DeWitt et al., "Implementation techniques for main memory database
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
from chassis.constraint_errors import error_of_constraint
from chassis.database import WRITE_IDLE_TIMEOUT, BoundedConnection
from chassis.errors import DeadlinePassed, Draining, Overloaded
from chassis.store_errors import CONNECTION_LOST, TOO_LATE, UNAVAILABLE, meaning_of, translated
from chassis.store_state import StoreState
from inventory_svc.errors import CONSTRAINTS
from inventory_svc.store.unit_of_work import locked_levels
from inventory_svc.writer.batch import run_batch
from inventory_svc.writer.pending_write import PendingWrite, WriteResult, merge_duplicates, unexpected_error
from inventory_svc.writer.quarantine import Quarantine, reject_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

MAX_BATCH_REQUESTS = 512
MAX_BATCH_WEIGHT = 2000  # items: about 150 ms of one transaction
MAX_WAITING_WEIGHT = 20_000  # items in the queue: about 2 s of work
ATTEMPTS = 4  # for conflicts between replicas that a new transaction resolves
RECONNECT_SECONDS = 3.0  # for the database to come back before waiting requests fail
COMMAND_SECONDS = 8.0  # for one statement: a backend that hangs blocks every write that long
LOG_LOCK_SECONDS = 3.0  # a longer wait was not for a row
LOCK_TIMEOUT = "1s"  # for a whole batch: a transaction at a SQL shell may hold a row

# The triggers tell the writer's changes from those made by SQL by `partstream.source`.
_SERVER_SETTINGS = {
    "partstream.source": "service",
    "application_name": "inventory_svc writer",
    "timezone": "UTC",
    "lock_timeout": LOCK_TIMEOUT,
    # A plan made while a table is empty would scan it until the connection closes.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "idle_in_transaction_session_timeout": WRITE_IDLE_TIMEOUT,
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def _is_conflict_between_replicas(error: asyncpg.PostgresError) -> bool:
    """Return whether another replica was faster: a new transaction decides again on its rows."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return bool(error.constraint_name == "stock_level_pkey")  # inserted between read and write
    return isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError)


class _RetryBudget:
    """How often and for how long one batch is attempted."""

    def __init__(self) -> None:
        self._attempts = ATTEMPTS
        self._backoff = Backoff(0.02, 0.5)
        self._until = time.monotonic() + RECONNECT_SECONDS

    def allows_attempt(self) -> bool:
        """Count an attempt and return whether another one is allowed."""
        self._attempts -= 1
        return self._attempts > 0

    @property
    def is_spent(self) -> bool:
        """Return whether the database has been unavailable for too long."""
        return time.monotonic() > self._until

    async def pause(self) -> None:
        """Wait before the next attempt."""
        await asyncio.sleep(self._backoff.next())


class Writer:
    """The only path by which the service writes: a queue, a connection of its own, and a loop."""

    def __init__(
        self,
        dsn: str,
        *,
        on_commit: Callable[[], None],
        handoff: Handoff | None = None,
        store: StoreState | None = None,
    ) -> None:
        """Call ``on_commit`` after every commit that changed something; ``handoff`` has its entries then.

        ``store`` records the failures of writes.
        """
        self._dsn = dsn
        self._store = store or StoreState("inventory")
        self._on_commit = on_commit
        self._handoff = handoff or Handoff()
        self._waiting: deque[PendingWrite] = deque()
        self._waiting_weight = 0
        self._arrived = asyncio.Event()
        self._is_closing = False
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._known_users: dict[str, str] = {}
        self._quarantine = Quarantine()
        self._loop: asyncio.Task[None] | None = None

    async def submit(self, write: PendingWrite) -> WriteResult:
        """Queue a write and return its result; ``Overloaded`` when the queue is full. Cancelling drops the request."""
        self.enqueue(write)
        return await write.future

    def enqueue(self, write: PendingWrite) -> None:
        """Queue a write, whose future gets the result. Cancelling the future drops the request."""
        if self._is_closing:
            message = "The server is shutting down. Reconnect and retry."
            raise Draining(message, retry_after_seconds=0.2)
        if self._waiting_weight + write.weight > MAX_WAITING_WEIGHT:
            message = "Too many writes are waiting. Retry later."
            raise Overloaded(message, retry_after_seconds=1.0)
        self._waiting.append(write)
        self._waiting_weight += write.weight
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the loop that commits what is queued."""
        self._loop = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Accept no more writes, commit those queued, close the connection."""
        self._is_closing = True
        self._arrived.set()
        if self._loop is not None:
            await self._loop
        self._drop_connection()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            writes = self._take()
            if writes:
                while writes:
                    now, later = merge_duplicates(writes)
                    await self._commit(now)
                    writes = [write for write in later if not write.future.done()]
            elif self._is_closing:
                return
            else:
                self._arrived.clear()

    def _take(self) -> list[PendingWrite]:
        """Return the next batch, without cancelled requests."""
        writes: list[PendingWrite] = []
        weight = 0
        while self._waiting and len(writes) < MAX_BATCH_REQUESTS:
            write = self._waiting[0]
            if writes and weight + write.weight > MAX_BATCH_WEIGHT:
                break
            self._waiting.popleft()
            self._waiting_weight -= write.weight
            if not write.future.done():
                writes.append(write)
                weight += write.weight
        return writes

    async def _commit(self, writes: Sequence[PendingWrite]) -> None:
        """Commit a batch; one by one when it fails together. Every write has its result when this returns."""
        try:
            await self._commit_together(writes)
        except asyncpg.PostgresError as error:
            self._known_users.clear()
            meaning = meaning_of(error)
            if meaning is not None and meaning.is_condition:
                # A connection keeps its settings: one opened read-only stays so.
                self._drop_connection()
                self._fail_unavailable(writes, error)
            elif len(writes) == 1:
                self._reject(writes[0], error)
            else:
                log.warning("batch retried one by one writes=%d error=%s", len(writes), type(error).__name__)
                await self._commit_alone(writes)
        except Exception as error:
            log.exception("batch failed writes=%d", len(writes))
            if len(writes) == 1:
                writes[0].reject(unexpected_error(error))
                return
            await self._commit_alone(writes)

    async def _commit_alone(self, writes: Sequence[PendingWrite]) -> None:
        """Commit each by itself. When one exceeds the database's timeout, reject the rest: each would wait as long."""
        for at, write in enumerate(writes):
            await self._commit((write,))
            if (
                write.future.done()
                and not write.future.cancelled()
                and isinstance(write.future.exception(), DeadlinePassed)
            ):
                for other in writes[at + 1 :]:
                    other.reject(TOO_LATE.error())
                return

    async def _commit_together(self, writes: Sequence[PendingWrite]) -> None:
        writes = self._quarantine.admit(writes)
        budget = _RetryBudget()
        while writes:
            try:
                writes = await self._attempt(writes, budget)
            except asyncpg.PostgresError as error:
                if isinstance(error, CONNECTION_LOST):
                    writes = await self._wait_for_database(writes, budget, error)
                elif not _is_conflict_between_replicas(error) or not budget.allows_attempt():
                    raise
            except CONNECTION_LOST as error:
                writes = await self._wait_for_database(writes, budget, error)

    async def _attempt(self, writes: Sequence[PendingWrite], budget: _RetryBudget) -> Sequence[PendingWrite]:
        """Commit the writes; return those left after others were rejected for locked levels."""
        connection = await self.connected()
        began = time.monotonic()
        try:
            await run_batch(connection, writes, self._known_users, self._on_commit, self._handoff)
        except asyncpg.LockNotAvailableError:
            if time.monotonic() - began > LOG_LOCK_SECONDS:
                reject_locked(writes)  # the lock of the change log: another attempt would wait as long
                return ()
            return await self._set_aside_locked(writes, budget)
        return ()

    async def _set_aside_locked(self, writes: Sequence[PendingWrite], budget: _RetryBudget) -> Sequence[PendingWrite]:
        """Return the writes whose levels are not locked; reject all when something else is locked."""
        if not budget.allows_attempt():
            reject_locked(writes)
            return ()
        try:
            locked = await locked_levels(await self.connected(), [write.command.needs() for write in writes])
        except asyncpg.LockNotAvailableError:  # the table itself is locked
            reject_locked(writes)
            return ()
        self._quarantine.isolate(locked)
        return self._quarantine.admit(writes)

    async def _wait_for_database(
        self, writes: Sequence[PendingWrite], budget: _RetryBudget, error: BaseException
    ) -> Sequence[PendingWrite]:
        """Return the same writes after a pause, or none when the budget is spent."""
        self._drop_connection()
        self._store.met(error)
        if budget.is_spent:
            self._fail_unavailable(writes, error)
            return ()
        await budget.pause()
        return writes

    def _fail_unavailable(self, writes: Sequence[PendingWrite], error: BaseException) -> None:
        """Reject writes for a condition of the database."""
        self._store.met(error)
        log.debug("writes rejected count=%d error=%r", len(writes), error)
        for write in writes:
            write.reject(translated(error) or UNAVAILABLE.error())

    def _reject(self, write: PendingWrite, error: asyncpg.PostgresError) -> None:
        if isinstance(error, asyncpg.DeadlockDetectedError):
            reject_locked((write,))
            return
        explained = translated(error) or error_of_constraint(getattr(error, "constraint_name", None), CONSTRAINTS)
        log.info("write rejected by the database command=%s error=%s", type(write.command).__name__, error)
        write.reject(explained)

    async def connected(self) -> asyncpg.Connection[asyncpg.Record]:
        """Return the writer's connection, reopened when it was lost."""
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
