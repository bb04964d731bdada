"""From the change log to the trail through Redis: every entry once, through failures of each component."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from chassis.database import Database
from edge.audit_dispatch.dispatcher import Dispatcher, Limits
from edge.upstream.follower_metrics import FOLLOWERS
from tasks.jobs import AUDIT_QUEUE, JobQueue
from tests.harness.own_redis import OwnRedis
from tests.tasks.live_log import (
    LiveLog,
    WorkerProcess,
    open_feed,
    stored_revisions,
    until,
    until_logged,
    until_stored,
    until_waiting,
)

# The effect of a server restart, for one database.
CLOSE_OTHER_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
DROP = "SELECT * FROM change_log_drop_oldest(interval '-1 day', 0)"
REPORTED = "SELECT revision FROM change_log_follower WHERE name = 'audit'"
QUICK = Limits(stall_seconds=1.0, report_seconds=0.1)


@asynccontextmanager
async def dispatching(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, limits: Limits = QUICK
) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(audit_dsn, audit.pool, [log.source], jobs, limits)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()


async def test_every_entry_becomes_a_row_in_order(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    await log.write("before", 450)
    worker.start()
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_stored(audit.pool, 450)
        await log.write("after", 3)
        await until_stored(audit.pool, 453)

    assert await stored_revisions(audit.pool) == list(range(1, 454))
    row = await audit.pool.fetchrow("SELECT * FROM data_change WHERE revision = 453")
    assert row is not None
    assert (row["service"], row["part_id"], row["actor"], row["source"]) == ("inventory", "after3", "postgres", "sql")
    assert worker.stop() == 0


async def test_metrics_report_the_lag_of_the_trail(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    def follower_metrics() -> dict[str, float]:
        return {
            sample.name.removeprefix("partstream_edge_follower_"): sample.value
            for metric in FOLLOWERS.collect()
            for sample in metric.samples
            if sample.labels == {"log": "inventory", "sink": "audit"}
        }

    await log.write("a", 30)
    assert not follower_metrics()
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_waiting(jobs, AUDIT_QUEUE, 1)
        behind = follower_metrics()
        worker.start()
        await until_stored(audit.pool, 30)

        async def is_caught_up() -> bool:
            return follower_metrics()["lag_revisions"] == 0

        await until(is_caught_up)
        caught_up = follower_metrics()

    assert behind["connected"] == 1
    assert behind["lag_revisions"] == 30
    assert behind["lag_seconds"] > 0
    assert (caught_up["lag_seconds"], caught_up["resyncs_total"]) == (0, 0)
    assert not follower_metrics()


async def test_a_killed_worker_loses_and_repeats_nothing(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    await log.write("a", 8000)
    worker.start()
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_stored(audit.pool, 400)
        worker.kill()
        await log.write("b", 500)
        worker.start()
        await until_stored(audit.pool, 8500)

    assert await stored_revisions(audit.pool) == list(range(1, 8501))


async def test_jobs_lost_with_redis_are_queued_again(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess, own_redis: OwnRedis
) -> None:
    await log.write("a", 1000)
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_waiting(jobs, AUDIT_QUEUE, 5)
        with redis.Redis.from_url(own_redis.url) as client:
            client.flushall()
        worker.start()
        await until_stored(audit.pool, 1000)

    assert await stored_revisions(audit.pool) == list(range(1, 1001))


async def test_entries_wait_during_an_outage_of_redis_and_are_stored_afterwards(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess, own_redis: OwnRedis
) -> None:
    worker.start()
    async with dispatching(audit_dsn, audit, log, jobs):
        await log.write("a", 10)
        await until_stored(audit.pool, 10)
        await asyncio.to_thread(own_redis.stop)
        await log.write("b", 1000)
        await asyncio.to_thread(own_redis.start)
        await until_stored(audit.pool, 1010)

    assert await stored_revisions(audit.pool) == list(range(1, 1011))
    assert worker.runs


async def test_connections_that_the_audit_database_closed_are_opened_again(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    worker.start()
    await log.write("a", 4000)
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_stored(audit.pool, 200)
        await audit.pool.execute(CLOSE_OTHER_CONNECTIONS)
        await log.write("b", 100)
        await until_stored(audit.pool, 4100)

    assert await stored_revisions(audit.pool) == list(range(1, 4101))
    assert worker.runs


async def test_another_dispatcher_takes_over_at_the_position(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    worker.start()
    await log.write("a", 6000)
    async with dispatching(audit_dsn, audit, log, jobs) as first, dispatching(audit_dsn, audit, log, jobs) as second:
        await until_stored(audit.pool, 200)
        leader, standby = (first, second) if first._leadership.holds else (second, first)
        assert [first._leadership.holds, second._leadership.holds].count(True) == 1
        await leader.stop()
        await log.write("b", 100)
        await until_stored(audit.pool, 6100)
        assert standby._leadership.holds

    assert await stored_revisions(audit.pool) == list(range(1, 6101))


async def test_a_new_epoch_continues_after_a_gap_row_without_duplicates(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    worker.start()
    await log.write("a", 5)
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_stored(audit.pool, 5)
        epoch = await log.database.pool.fetchval("SELECT change_log_begin_epoch()")
        await log.write("b", 2)
        await until_stored(audit.pool, 8)

    rows = await audit.pool.fetch("SELECT epoch = $1 AS fresh, revision, operation FROM data_change ORDER BY id", epoch)
    assert [tuple(row) for row in rows][4:] == [
        (False, 5, "created"),
        (True, 5, "gap"),
        (True, 6, "created"),
        (True, 7, "created"),
    ]


async def test_entries_that_the_log_dropped_leave_a_gap_row(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    await log.write("a", 10)
    partition = await log.database.pool.fetchval("SELECT tableoid::regclass::text FROM change_log LIMIT 1")
    await log.database.pool.execute(
        f"ALTER TABLE {partition} DISABLE TRIGGER USER; DELETE FROM {partition} WHERE revision <= 6"  # noqa: S608
    )
    # As after a restart of the service: its window starts with the remaining entries.
    async with open_feed(log.database) as log.source.feed:
        worker.start()
        async with dispatching(audit_dsn, audit, log, jobs):
            await until_stored(audit.pool, 5)

    rows = await audit.pool.fetch("SELECT revision, operation FROM data_change ORDER BY id")
    assert [tuple(row) for row in rows] == [(6, "gap"), *((revision, "created") for revision in range(7, 11))]


async def test_dispatch_stops_at_the_in_flight_limit_without_a_worker(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue
) -> None:
    short_limits = Limits(stall_seconds=0.02, poll_seconds=0.01)
    await log.write("a", 9000)
    async with dispatching(audit_dsn, audit, log, jobs, short_limits):
        await until_waiting(jobs, AUDIT_QUEUE, short_limits.jobs_in_flight)
        # Longer than many stall times: a waiting job is not sent again.
        depths = [(await jobs.depth(AUDIT_QUEUE)).waiting for _ in range(500)]

    assert set(depths) == {short_limits.jobs_in_flight}


@pytest.mark.parametrize("program", ["worker", "scheduler"])
async def test_a_process_starts_without_redis_and_ends_in_time(
    audit_dsn: str, own_redis: OwnRedis, worker: WorkerProcess, program: str
) -> None:
    own_redis.stop()
    worker.program = program
    worker.start()
    await until_logged(worker, f"{program} ready")

    assert worker.stop() == 0


async def test_the_change_log_retains_entries_that_the_trail_has_not_stored(
    audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue, worker: WorkerProcess
) -> None:
    await log.database.pool.execute("SELECT change_log_resize_partitions(300)")
    await log.write("a", 1000)
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_logged_position(log, 0)
        held = await log.database.pool.fetchrow(DROP)
        worker.start()
        await until_stored(audit.pool, 1000)
        await until_logged_position(log, 1000)
        dropped = await log.database.pool.fetchrow(DROP)

    assert (held["dropped_to"], held["held_by"], held["held_at"]) == (None, "audit", 0)
    assert dropped["dropped_to"] == 299


async def until_logged_position(log: LiveLog, revision: int) -> None:
    """Return when the log has this revision as the position of the trail."""
    async with asyncio.timeout(60):
        while await log.database.pool.fetchval(REPORTED) != revision:  # noqa: ASYNC110 - the database sends no notification
            await asyncio.sleep(0.02)
