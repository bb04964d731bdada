"""Ports of every process."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.settings import load
from stack.errors import PortTaken, StackError
from stack.servers.ports import LOOPBACK, is_free
from stack.supervision.operations_ports import with_operations_ports
from stack.supervision.port_plan import plan_ports
from stack.supervision.stack_plan import TASKS, expected
from stack.supervision.up_settings import UpSettings
from tests.stack.listening_log import ListeningLog

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


def test_all_ports_in_use_are_said_at_once_with_what_changes_them(base: int, tmp_path: Path) -> None:
    """They were said one by one, each with the next start."""
    settings = UpSettings(inventory_port=base, content_port=base + 1, identity_port=base + 2, operations_port=base + 10)
    with contextlib.ExitStack() as stack:
        for port in (base, base + 1, base + 2, base + 3, base + 10, base + 12):
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", port))
            server.listen()
        plan = plan_ports(settings, base + 3, 1, 1, ListeningLog())
        with pytest.raises(PortTaken) as refused:
            with_operations_ports(plan, settings, TASKS, tmp_path)

    for port, process, setting in (
        (base, "inventory-1", "PARTSTREAM_INVENTORY_PORT"),
        (base + 1, "content-1", "PARTSTREAM_CONTENT_PORT"),
        (base + 2, "the gRPC port of edge-1", "PARTSTREAM_IDENTITY_PORT"),
        (base + 3, "edge-1", "--port"),
        (base + 10, "the operations port of inventory-1", "PARTSTREAM_OPERATIONS_PORT"),
        (base + 12, "the operations port of edge-1", "PARTSTREAM_OPERATIONS_PORT"),
    ):
        assert f"port {port} on 127.0.0.1, wanted for {process} ({setting})" in str(refused.value)
    assert f"port {base + 11} " not in str(refused.value)


def test_ports_in_use_are_said_also_when_operations_ports_are_chosen(taken: int, tmp_path: Path) -> None:
    plan = plan_ports(UpSettings(), taken, 1, 1, ListeningLog())

    with pytest.raises(PortTaken, match=f"port {taken} on 127.0.0.1, wanted for edge-1"):
        with_operations_ports(plan, UpSettings(), TASKS, tmp_path)


def test_every_process_has_an_operations_port(base: int, tmp_path: Path) -> None:
    """The worker and the scheduler were given the same one, so that the second of them never started."""
    settings = UpSettings(inventory_port=base + 10, content_port=base + 11, operations_port=base)
    plan = plan_ports(settings, base + 12, 2, 1, ListeningLog())

    plan = with_operations_ports(plan, settings, TASKS, tmp_path)

    assert [(process.name, process.ports) for process in expected([], plan, tasks=True)] == [
        ("inventory-1", [base + 10, base]),
        ("content-1", [base + 11, base + 1]),
        ("edge-1", [base + 12, plan.identity[0], base + 2]),
        ("edge-2", [base + 13, plan.identity[1], base + 3]),
        ("worker", [base + 4]),
        ("scheduler", [base + 5]),
    ]


def test_operations_ports_that_are_not_asked_for_are_kept(base: int, tmp_path: Path) -> None:
    plan = plan_ports(UpSettings(), base, 1, 2, ListeningLog())

    first = with_operations_ports(plan, UpSettings(), TASKS, tmp_path).operations
    second = with_operations_ports(plan, UpSettings(), TASKS, tmp_path).operations

    assert first == second
    assert len({*first.values(), *plan.serving.values()}) == len(first) + len(plan.serving) == 7 + 5


def test_operations_ports_without_room_are_said(base: int, taken: int, tmp_path: Path) -> None:
    plan = plan_ports(UpSettings(), base, 1, 1, ListeningLog())

    with pytest.raises(StackError, match="5 processes need it and the following ones"):
        with_operations_ports(plan, UpSettings(operations_port=base - 1), TASKS, tmp_path)
    with pytest.raises(StackError, match="5 processes need it and the following ones"):
        with_operations_ports(plan, UpSettings(operations_port=65_532), TASKS, tmp_path)
    with pytest.raises(PortTaken, match=f"port {taken} on 127.0.0.1, wanted for the operations port of inventory-1"):
        with_operations_ports(plan, UpSettings(operations_port=taken), TASKS, tmp_path)


def test_each_kind_of_port_listens_where_its_setting_says() -> None:
    """One setting opened the services and the metrics to the network together with the shop."""
    shared = load(UpSettings, {"PARTSTREAM_HOST": "0.0.0.0"})  # noqa: S104 - not listened on
    own = load(UpSettings, {"PARTSTREAM_EDGE_HOST": "0.0.0.0"})  # noqa: S104 - likewise

    assert {shared.edge_host, shared.grpc_host, shared.operations_host} == {"0.0.0.0"}  # noqa: S104 - likewise
    assert (own.edge_host, own.grpc_host, own.operations_host) == ("0.0.0.0", LOOPBACK, LOOPBACK)  # noqa: S104 - likewise


@pytest.mark.parametrize("name", ["EDGE", "GRPC", "OPERATIONS"])
def test_an_address_of_another_machine_is_named_with_its_setting(name: str, base: int) -> None:
    settings = load(UpSettings, {f"PARTSTREAM_{name}_HOST": "192.0.2.1"})

    with pytest.raises(StackError, match=f"PARTSTREAM_{name}_HOST is 192.0.2.1"):
        plan_ports(settings, base, 1, 1, ListeningLog())
