"""Ports of every process."""

import random
import socket
from collections.abc import Iterator

import pytest

from devstack.errors import DevstackError, PortTaken
from devstack.servers.ports import is_free
from devstack.supervision.port_plan import plan_ports
from devstack.supervision.stack_plan import expected
from devstack.supervision.up_settings import UpSettings
from tests.devstack.listening_log import ListeningLog

# Below the ports that systems hand out for outgoing connections.
QUIET_PORTS = range(20_000, 32_000, 20)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def base() -> int:
    """The first of twenty ports that are all free."""
    starts = random.sample(QUIET_PORTS, len(QUIET_PORTS))
    return next(start for start in starts if all(is_free(port) for port in range(start, start + 20)))


def test_no_port_is_given_twice(base: int) -> None:
    settings = UpSettings(inventory_port=base, content_port=base + 1, identity_port=base + 14)

    plan = plan_ports(settings, base + 10, 2, 3, ListeningLog())

    assert plan.inventory[0] == base
    assert plan.content[0] == base + 1
    assert plan.edge == [base + 10, base + 11]
    assert plan.identity[0] == base + 14
    every = [*plan.inventory, *plan.content, *plan.edge, *plan.identity]
    assert len(set(every)) == len(every) == 10


def test_taken_port_that_was_asked_for_is_said_with_its_purpose(taken: int, base: int) -> None:
    with pytest.raises(PortTaken, match=f"port {taken}, wanted for edge-1"):
        plan_ports(UpSettings(), taken, 1, 1, ListeningLog())
    with pytest.raises(PortTaken, match=f"port {taken}, wanted for content-1"):
        plan_ports(UpSettings(content_port=taken), base, 1, 1, ListeningLog())


def test_worker_and_scheduler_have_a_metrics_port_each(base: int) -> None:
    """Both were given the same one, so that the second of them never started."""
    plan = plan_ports(UpSettings(metrics_port=base), base + 10, 1, 1, ListeningLog())

    assert plan.metrics == (base, base + 1)
    assert [(process.name, process.ports) for process in expected([], plan, tasks=True)][-2:] == [
        ("worker", [base]),
        ("scheduler", [base + 1]),
    ]
    with pytest.raises(DevstackError, match="need it and the next"):
        plan_ports(UpSettings(metrics_port=base + 9), base + 10, 1, 1, ListeningLog())
    with pytest.raises(DevstackError, match="need it and the next"):
        plan_ports(UpSettings(metrics_port=65_535), base + 10, 1, 1, ListeningLog())
