"""Gives every process of the stack its port."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from stack.errors import StackError
from stack.servers.ports import LOOPBACK, WantedPort, free_port, is_free, require_own_address
from stack.supervision.merged_log import MergedLog
from stack.supervision.up_settings import (
    DEFAULT_CONTENT_PORT,
    DEFAULT_IDENTITY_PORT,
    DEFAULT_INVENTORY_PORT,
    UpSettings,
)

HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class PortPlan:
    """One port per copy, first copy first."""

    inventory: list[int]
    content: list[int]
    edge: list[int]
    identity: list[int]  # gRPC, one for each edge
    operations: Mapping[str, int] = field(default_factory=dict)  # by the name of the process
    wanted: tuple[WantedPort, ...] = ()  # those that were asked for; ``with_operations_ports`` requires them free

    @property
    def of_identity(self) -> dict[str, int]:
        """The gRPC port of each edge, by its name."""
        return {f"edge-{number}": port for number, port in enumerate(self.identity, 1)}

    @property
    def serving(self) -> dict[str, int]:
        """The port that each copy serves at, by its name, in the order of their start."""
        kinds = (("inventory", self.inventory), ("content", self.content), ("edge", self.edge))
        return {f"{kind}-{number}": port for kind, ports in kinds for number, port in enumerate(ports, 1)}


def plan_ports(settings: UpSettings, edge_port: int, edges: int, replicas: int, log: MergedLog) -> PortPlan:
    """Return a port for each process; those that were asked for may be in use yet.

    Edges get consecutive ports. The services' ports are only known by their settings and by ``status``: when nobody
    set one and the usual one is in use, another is taken, so that two stacks can run on one machine.
    """
    for name in ("edge_host", "grpc_host", "operations_host"):
        require_own_address(getattr(settings, name), f"PARTSTREAM_{name.upper()}")
    edge = list(range(edge_port, edge_port + edges))
    if edge[-1] > HIGHEST_PORT:
        message = f"--port {edge_port} leaves no room for {edges} edges."
        raise StackError(message)
    host = settings.grpc_host
    wanted = [WantedPort(port, f"edge-{number}", "--port", settings.edge_host) for number, port in enumerate(edge, 1)]
    used = set(edge)
    firsts: list[int] = []
    for name, asked, usual in (
        ("inventory", settings.inventory_port, DEFAULT_INVENTORY_PORT),
        ("content", settings.content_port, DEFAULT_CONTENT_PORT),
        ("identity", settings.identity_port, DEFAULT_IDENTITY_PORT),
    ):
        if asked is not None:
            process = "the gRPC port of edge-1" if name == "identity" else f"{name}-1"
            wanted.append(WantedPort(asked, process, f"PARTSTREAM_{name.upper()}_PORT", host))
        firsts.append(_first(name, asked, usual, used, host, log))
        used.add(firsts[-1])
    inventory, content, identity = ([first] for first in firsts)
    for _ in range(1, edges):
        identity.append(_next(identity[-1], used, host))
        used.add(identity[-1])
    for _ in range(1, replicas):
        for ports in (inventory, content):
            ports.append(_next(ports[-1], used, host))
            used.add(ports[-1])
    return PortPlan(inventory, content, edge, identity, wanted=tuple(wanted))


def _first(name: str, asked: int | None, usual: int, used: Collection[int], host: str, log: MergedLog) -> int:
    if asked is not None:
        if asked in used:
            message = f"Port {asked} is asked for twice: for {name}-1 and for another process."
            raise StackError(message)
        return asked
    if usual not in used and is_free(usual, host):
        return usual
    chosen = free_port()
    log.say(f"port {usual} is in use; {name}-1 takes {chosen}")
    return chosen


def _next(last: int, used: Collection[int], host: str) -> int:
    candidates = (port for port in itertools.count(last + 1) if port not in used and is_free(port, host))
    return next(itertools.takewhile(lambda port: port <= HIGHEST_PORT, candidates), None) or free_port()


def reachable(host: str) -> str:
    """Return the address by which this machine reaches a server that listens on ``host``."""
    return LOOPBACK if host in {"0.0.0.0", "::", "*", ""} else host  # noqa: S104 - compared with, not listened on
