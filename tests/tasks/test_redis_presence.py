"""An outage of Redis is logged once, and its end once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from dramatiq.worker import Worker

from tasks.broker import open_broker
from tasks.redis_presence import RedisPresence

if TYPE_CHECKING:
    from tests.harness.own_redis import OwnRedis


class Recording(logging.Handler):
    """Stores the lines that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def presence() -> RedisPresence:
    return RedisPresence()


def test_consumers_without_redis_log_one_line(
    own_redis: OwnRedis, presence: RedisPresence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumers of each queue logged CRITICAL every three seconds during an outage."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY", 10)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.01)
    recording = Recording()
    failures: list[str] = []
    quiet = presence.quiet()

    def passes(record: logging.LogRecord) -> bool:
        if "Consumer encountered" in record.getMessage():
            failures.append(record.name)
        return bool(quiet.filter(record))

    recording.addFilter(passes)
    root = logging.getLogger()
    root.addHandler(recording)
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
        root.removeHandler(recording)
        broker.close()

    logged = [line for line in recording.lines if "Redis " in line]
    assert [line.rpartition(" error=")[0] or line.rpartition(" outage_seconds=")[0] for line in logged] == [
        "WARNING Redis unavailable, jobs wait in the change logs",
        "INFO Redis available again",
    ]
    assert not [line for line in recording.lines if "onsumer" in line]


def test_other_records_of_the_consumers_are_logged(presence: RedisPresence) -> None:
    record = logging.LogRecord(
        "dramatiq.worker.ConsumerThread(audit)", logging.ERROR, "", 0, "undefined actor %r", ("x",), None
    )

    assert presence.quiet().filter(record)
