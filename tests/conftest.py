"""Fixtures of every test: real PostgreSQL and Redis, a migrated database per test, async tests without a mark."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from stack.servers.ports import free_port as choose_free_port
from tests.harness.event_loop import LenientLoop
from tests.harness.own_redis import OwnRedis
from tests.harness.servers import TestServers, ensure_servers, stop_servers
from tests.harness.templates import database, ensure_template

# Machines that run the tests are busy with others: how long an example takes says nothing about it.
settings.register_profile("shared", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

REDIS_DATABASES = 16
RUN_FOLDER = "PARTSTREAM_TEST_RUN_FOLDER"
RUN_PID = "PARTSTREAM_TEST_RUN_PID"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the duration and seed of generated API requests, and the renewal of recorded interfaces."""
    parser.addoption("--fuzz-seconds", type=int, default=20, help="seconds of generated API requests for each role")
    parser.addoption("--fuzz-seed", type=int, default=1, help="seed of the generated API requests")
    parser.addoption("--renew-baselines", action="store_true", help="record additions to the public interfaces")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of the whole stack together on one worker."""
    for item in items:
        if "flow" in item.path.relative_to(item.config.rootpath).parts:
            item.add_marker(pytest.mark.xdist_group("flow"))


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of this run; workers find it in their environment.

    No TLS to the tests' own PostgreSQL: a test that ends while asyncpg asks for TLS leaves a future whose error is
    reported in the next test.
    """
    os.environ["PGSSLMODE"] = "disable"
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="partstream-tests-")
        os.environ[RUN_PID] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers when the run's own process finishes; a worker leaves them to the others."""
    if not hasattr(config, "workerinput"):
        stop_servers(Path(os.environ[RUN_FOLDER]))
        shutil.rmtree(os.environ[RUN_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """asyncio, as in production."""
    return "asyncio", {"loop_factory": LenientLoop}


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """A folder shared by all workers of this run."""
    return Path(os.environ[RUN_FOLDER])


@pytest.fixture(scope="session")
def servers(run_folder: Path) -> TestServers:
    """PostgreSQL and Redis of this run."""
    return ensure_servers(run_folder, int(os.environ[RUN_PID]))


@pytest.fixture
def inventory_dsn(servers: TestServers, run_folder: Path) -> Iterator[str]:
    """A fresh, migrated inventory database."""
    with database(servers, "inventory", ensure_template(servers, "inventory", run_folder)) as dsn:
        yield dsn


@pytest.fixture
def content_dsn(servers: TestServers, run_folder: Path) -> Iterator[str]:
    """A fresh, migrated content database."""
    with database(servers, "content", ensure_template(servers, "content", run_folder)) as dsn:
        yield dsn


@pytest.fixture
def edge_dsn(servers: TestServers, run_folder: Path) -> Iterator[str]:
    """A fresh, migrated edge database."""
    with database(servers, "edge", ensure_template(servers, "edge", run_folder)) as dsn:
        yield dsn


@pytest.fixture
def audit_dsn(servers: TestServers, run_folder: Path) -> Iterator[str]:
    """A fresh, migrated audit database."""
    with database(servers, "audit", ensure_template(servers, "audit", run_folder)) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(servers: TestServers) -> Iterator[str]:
    """A fresh database without any table, owned by the role ``inventory``."""
    with database(servers, "inventory", "template0") as dsn:
        yield dsn


@pytest.fixture
def redis_url(servers: TestServers) -> str:
    """An empty Redis database that no other worker uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    url = f"{servers.redis_url.removesuffix('/0')}/{int(worker) % REDIS_DATABASES}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A running Redis server for this test alone."""
    server = OwnRedis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def free_port() -> int:
    """Return a TCP port without a listener."""
    return choose_free_port()


@pytest.fixture
def renew_baselines(request: pytest.FixtureRequest) -> bool:
    """Return whether additions to public interfaces are recorded: ``./partstream test … --renew-baselines``."""
    return bool(request.config.getoption("--renew-baselines"))
