"""Job queue keys of another type and unreadable messages: the trail still stores every change.

A string under the key of the audit queue stopped the audit trail for good, while every process was healthy.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis
from dramatiq import Message

from edge.audit_dispatch.dispatcher import Dispatcher, Limits
from tasks.broker import AUDIT_QUEUE, NAMESPACE, WARMING_QUEUE
from tasks.jobs import JobQueue, RecordChanges
from tests.harness.redis_content import TYPES, plant, type_of
from tests.tasks.entries import EPOCH, stock_response
from tests.tasks.live_log import (
    LiveLog,
    WorkerProcess,
    stored_revisions,
    until,
    until_logged,
    until_stored,
    until_waiting,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chassis.database import Database
    from tests.harness.own_redis import OwnRedis

QUICK = Limits(stall_seconds=1.0, report_seconds=0.1)
# Names of the queues' keys, and their types.
KEYS = {
    AUDIT_QUEUE: "list",
    f"{AUDIT_QUEUE}.msgs": "hash",
    f"{AUDIT_QUEUE}.DQ": "list",
    f"{AUDIT_QUEUE}.DQ.msgs": "hash",
    f"{AUDIT_QUEUE}.XQ": "zset",
    f"{AUDIT_QUEUE}.XQ.msgs": "hash",
    WARMING_QUEUE: "list",
    "__heartbeats__": "zset",
}


@pytest.fixture
def client(own_redis: OwnRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.url) as made:
        yield made


@asynccontextmanager
async def dispatching(audit_dsn: str, audit: Database, log: LiveLog, jobs: JobQueue) -> AsyncIterator[None]:
    dispatcher = Dispatcher(audit_dsn, audit.pool, [log.source], jobs, QUICK)
    dispatcher.start()
    try:
        yield
    finally:
        await dispatcher.stop()


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_of_another_type_does_not_stop_the_trail(
    audit_dsn: str,
    audit: Database,
    log: LiveLog,
    jobs: JobQueue,
    worker: WorkerProcess,
    client: redis.Redis,
    name: str,
) -> None:
    key = f"{NAMESPACE}:{name}"
    worker.start()
    await until_logged(worker, "worker ready")
    async with dispatching(audit_dsn, audit, log, jobs):
        written = 0
        for held in TYPES:
            if held == KEYS[name]:
                continue
            plant(client, key, held)
            await log.write(held, 30)
            written += 30
            await until_stored(audit.pool, written)

    assert await stored_revisions(audit.pool) == list(range(1, written + 1))
    if name.startswith(AUDIT_QUEUE) and "Q" not in name:  # one that is not needed yet may stay as it is until then
        assert type_of(client, key) in {KEYS[name], "none"}
        assert type_of(client, f"quarantine:{{{key}}}") == "stream"
        assert 0 < client.ttl(f"quarantine:{{{key}}}") <= 24 * 3600


async def test_both_processes_log_what_they_moved(
    audit: Database, jobs: JobQueue, worker: WorkerProcess, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    key = f"{NAMESPACE}:{AUDIT_QUEUE}"
    plant(client, key, "string")

    assert (await jobs.depth(AUDIT_QUEUE)).waiting == 0
    assert f"Redis content moved aside key={key} detail=holds a string, not a list" in caplog.text
    worker.start()
    await until_logged(worker, "worker ready")
    plant(client, key, "zset")
    await until_logged(worker, f"Redis content moved aside key={key} detail=holds a zset, not a list")
    assert worker.read_log().count("Traceback") == 0


async def test_keys_of_a_dead_worker_are_moved_too(audit: Database, worker: WorkerProcess, client: redis.Redis) -> None:
    """Only the command that does the maintenance reads them."""
    key = f"{NAMESPACE}:__acks__.dead-worker.{AUDIT_QUEUE}"
    client.zadd(f"{NAMESPACE}:__heartbeats__", {"dead-worker": 1.0})
    plant(client, key, "string")
    worker.start()

    await until_logged(worker, f"key={key} detail=holds a string, not a set")

    async def is_forgotten() -> bool:
        return client.zscore(f"{NAMESPACE}:__heartbeats__", "dead-worker") is None

    await until(is_forgotten)


def messages() -> dict[str, bytes]:
    """Return messages that cannot be processed, by id."""
    good = Message(AUDIT_QUEUE, "record_changes", (), {}, {"redis_message_id": "other"}).asdict()
    forms: dict[str, Any] = {
        "no-options": {name: value for name, value in good.items() if name != "options"},
        "null-options": {**good, "options": None},
        "without-id": {**good, "options": {}},
        "of-another-id": good,
        "number-id": {**good, "options": {"redis_message_id": 7}},
        "list-kwargs": {**good, "kwargs": [], "options": {"redis_message_id": "list-kwargs"}},
        "null-actor": {**good, "actor_name": None, "options": {"redis_message_id": "null-actor"}},
        "unknown-field": {**good, "colour": "red"},
        "a-list": [1, 2],
        "a-number": 7,
    }
    return {name: json.dumps(form).encode() for name, form in forms.items()} | {
        "bytes": b"\xff\x00garbage",
        "empty": b"",
        "deep": b"[" * 100_000,
    }


@pytest.mark.parametrize("queue", [AUDIT_QUEUE, f"{AUDIT_QUEUE}.DQ", WARMING_QUEUE])
async def test_unreadable_messages_are_moved_aside(
    audit_dsn: str,
    audit: Database,
    log: LiveLog,
    jobs: JobQueue,
    worker: WorkerProcess,
    client: redis.Redis,
    queue: str,
) -> None:
    """An unreadable message must not end the consumer that fetches it."""
    key, bad = f"{NAMESPACE}:{queue}", messages()
    client.hset(f"{key}.msgs", mapping=bad)  # type: ignore[arg-type]
    client.rpush(key, *bad, "of no message")
    await log.write("a", 300)
    async with dispatching(audit_dsn, audit, log, jobs):
        worker.start()
        await until_stored(audit.pool, 300)
        await until_logged(worker, f"Redis content moved aside key={key}.msgs")

        async def is_clean() -> bool:
            acks = [name for name in client.scan_iter(f"{NAMESPACE}:__acks__.*") if client.scard(name)]
            return not acks and client.hlen(f"{key}.msgs") == client.llen(key) == 0

        await until(is_clean)

    assert set(client.hkeys(f"quarantine:{{{key}.msgs}}:unreadable")) == {name.encode() for name in bad}
    assert 0 < client.ttl(f"quarantine:{{{key}.msgs}}:unreadable") <= 24 * 3600
    assert await stored_revisions(audit.pool) == list(range(1, 301))
    assert "encountered an unexpected error" not in worker.read_log()


@pytest.mark.parametrize("owner", ["nobody", "a worker that is not known any more"])
async def test_orphaned_messages_do_not_block_the_trail(
    audit_dsn: str,
    audit: Database,
    log: LiveLog,
    jobs: JobQueue,
    worker: WorkerProcess,
    client: redis.Redis,
    owner: str,
) -> None:
    """They must not count as jobs that wait for a retry: then lost jobs are not queued again."""
    key = f"{NAMESPACE}:{AUDIT_QUEUE}.DQ"
    client.hset(f"{key}.msgs", "planted", b"garbage")
    if owner != "nobody":
        client.sadd(f"{NAMESPACE}:__acks__.gone.{AUDIT_QUEUE}.DQ", "planted")
    await log.write("a", 300)
    async with dispatching(audit_dsn, audit, log, jobs):
        await until_waiting(jobs, AUDIT_QUEUE, 1)
        client.delete(f"{NAMESPACE}:{AUDIT_QUEUE}", f"{NAMESPACE}:{AUDIT_QUEUE}.msgs")
        worker.start()
        await until_stored(audit.pool, 300)

    assert (await jobs.depth(AUDIT_QUEUE)).delayed == 0
    assert client.hget(f"quarantine:{{{key}.msgs}}:unreadable", "planted") == b"garbage"


async def test_jobs_that_are_queued_or_fetched_are_no_orphans(
    audit: Database, jobs: JobQueue, client: redis.Redis
) -> None:
    for _ in range(3):
        await jobs.record_changes(RecordChanges("inventory", EPOCH, 1, 2, stock_response(1, 2)))
    consumer = jobs._broker.consume(AUDIT_QUEUE, prefetch=1)
    fetched = next(consumer)

    assert await jobs.set_orphans_aside(AUDIT_QUEUE) == 0

    assert fetched is not None
    assert client.hlen(f"{NAMESPACE}:{AUDIT_QUEUE}.msgs") == 3
    consumer.ack(fetched)


async def test_quarantined_messages_are_bounded(
    audit: Database, worker: WorkerProcess, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{NAMESPACE}:{AUDIT_QUEUE}"
    many = {f"bad-{number}": b"x" for number in range(1_500)}
    client.hset(f"{key}.msgs", mapping=many)  # type: ignore[arg-type]
    client.rpush(key, *many)
    worker.start()

    async def is_empty() -> bool:
        return client.hlen(f"{key}.msgs") == 0

    await until(is_empty)
    assert client.hlen(f"quarantine:{{{key}.msgs}}:unreadable") == 1_000


async def test_a_heartbeat_replaces_a_key_of_another_type(
    audit: Database, worker: WorkerProcess, client: redis.Redis
) -> None:
    worker.start()
    await until_logged(worker, "worker ready")

    async def beats() -> bool:
        return bool(list(client.scan_iter("partstream:heartbeat:worker:*")))

    await until(beats)
    (key,) = [found.decode() for found in client.scan_iter("partstream:heartbeat:worker:*")]
    plant(client, key, "list")

    async def is_replaced() -> bool:
        return type_of(client, key) == "string"

    async with asyncio.timeout(60):
        await until(is_replaced)
