"""Ports of every process."""

import socket
from collections.abc import Iterator

import pytest

from devstack.errors import PortTaken
from devstack.port_plan import plan_ports
from devstack.up_settings import UpSettings
from tests.devstack.listening_log import ListeningLog


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_no_port_is_given_twice() -> None:
    settings = UpSettings(inventory_port=42_051, content_port=42_052)

    plan = plan_ports(settings, 42_060, 2, 3, ListeningLog())

    assert plan.inventory[0] == 42_051
    assert plan.content[0] == 42_052
    assert plan.edge == [42_060, 42_061]
    every = [*plan.inventory, *plan.content, *plan.edge]
    assert len(set(every)) == len(every) == 8


def test_taken_port_that_was_asked_for_is_said_with_its_purpose(taken: int) -> None:
    with pytest.raises(PortTaken, match=f"port {taken}, wanted for edge-1"):
        plan_ports(UpSettings(), taken, 1, 1, ListeningLog())
    with pytest.raises(PortTaken, match=f"port {taken}, wanted for content-1"):
        plan_ports(UpSettings(content_port=taken), 42_070, 1, 1, ListeningLog())
