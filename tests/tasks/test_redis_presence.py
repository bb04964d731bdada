"""That Redis is away is said once, and once that it is back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from dramatiq.worker import Worker

from tasks.broker import open_broker
from tasks.redis_presence import RedisPresence

if TYPE_CHECKING:
    from tests.harness.own_redis import OwnRedis


class Listening(logging.Handler):
    """Keeps what is written, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def presence() -> RedisPresence:
    return RedisPresence()


def test_consumers_that_lost_redis_are_one_line(
    own_redis: OwnRedis, presence: RedisPresence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each queue's consumers said CRITICAL every three seconds, for as long as Redis was away."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY", 10)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.01)
    listening = Listening()
    failures: list[str] = []
    quiet = presence.quiet()

    def passes(record: logging.LogRecord) -> bool:
        if "Consumer encountered" in record.getMessage():
            failures.append(record.name)
        return bool(quiet.filter(record))

    listening.addFilter(passes)
    root = logging.getLogger()
    root.addHandler(listening)
    monkeypatch.setattr(root, "level", logging.INFO)
    broker = open_broker(own_redis.url)
    broker.declare_queue("audit")
    broker.declare_queue("warming")
    worker = Worker(broker, worker_threads=1, worker_timeout=10)
    worker.start()
    try:
        own_redis.stop()
        while len(failures) < 20:
            worker.consumers["audit"].join(0.01)
    finally:
        own_redis.start()
        presence.found()
        worker.stop()
        root.removeHandler(listening)
        broker.close()

    said = [line for line in listening.lines if "Redis is" in line]
    assert [line.split(":")[0].split(" after")[0] for line in said] == [
        "WARNING Redis is away; jobs wait in the change logs until it is back",
        "INFO Redis is back",
    ]
    assert not [line for line in listening.lines if "onsumer" in line]


def test_what_else_the_consumers_say_is_written(presence: RedisPresence) -> None:
    record = logging.LogRecord(
        "dramatiq.worker.ConsumerThread(audit)", logging.ERROR, "", 0, "undefined actor %r", ("x",), None
    )

    assert presence.quiet().filter(record)
