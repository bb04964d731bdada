"""A failing job is retried and then becomes a dead letter; the position of the trail waits."""

import redis

from chassis.database import Database
from tasks.audit.queries import TrailPosition, position_of
from tasks.jobs import AUDIT_QUEUE, JobQueue, RecordChanges
from tests.harness.own_redis import OwnRedis
from tests.tasks.entries import EPOCH, stock_response
from tests.tasks.live_log import WorkerProcess, until, until_logged, until_stored


async def test_an_invalid_job_is_retried_while_others_continue(
    audit: Database, jobs: JobQueue, worker: WorkerProcess
) -> None:
    await jobs.record_changes(RecordChanges("inventory", EPOCH, 1, 2, stock_response(1, 2)))
    await jobs.record_changes(RecordChanges("inventory", EPOCH, 3, 4, b"\xff not a response"))
    await jobs.record_changes(RecordChanges("inventory", EPOCH, 3, 4, stock_response(3, 3)))
    worker.start()

    await until_stored(audit.pool, 2)
    await until_logged(worker, "BrokenSequence")

    async def delayed() -> bool:
        return (await jobs.depth(AUDIT_QUEUE)).delayed == 2

    await until(delayed)
    await jobs.record_changes(RecordChanges("inventory", EPOCH, 3, 4, stock_response(3, 4)))
    await until_stored(audit.pool, 4)
    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 4)


async def test_a_job_of_an_unknown_actor_is_a_dead_letter(
    audit: Database, jobs: JobQueue, worker: WorkerProcess, own_redis: OwnRedis
) -> None:
    await jobs._enqueue(AUDIT_QUEUE, "of_another_release")
    worker.start()

    async def dead() -> bool:
        return (await jobs.depth(AUDIT_QUEUE)).dead == 1

    await until(dead)
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.exists(f"partstream:jobs:{AUDIT_QUEUE}.XQ.msgs")
