"""Assign an operations port to every process of the stack."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stack.errors import StackError
from stack.servers.ports import WantedPort, free_port, remembered_port, require_free
from stack.supervision.port_plan import HIGHEST_PORT, PortPlan
from stack.supervision.up_settings import UpSettings


def with_operations_ports(plan: PortPlan, settings: UpSettings, tasks: Sequence[str], folder: Path) -> PortPlan:
    """Return the plan with an operations port for each copy and each of the tasks.

    They are consecutive from PARTSTREAM_OPERATIONS_PORT on, or chosen and kept in the data folder. PortTaken names all
    ports of the plan that were asked for and are in use.
    """
    names = [*plan.serving, *tasks]
    used = {*plan.serving.values(), *plan.identity}
    if settings.operations_port is None:
        require_free(plan.wanted)
        return replace(plan, operations={name: _chosen(name, used, folder) for name in names})
    ports = range(settings.operations_port, settings.operations_port + len(names))
    if ports[-1] > HIGHEST_PORT or used.intersection(ports):
        message = (
            f"PARTSTREAM_OPERATIONS_PORT is {ports[0]}: {len(names)} processes need it and the following ones, "
            f"up to {ports[-1]}, for themselves."
        )
        raise StackError(message)
    own = [
        WantedPort(port, f"the operations port of {name}", "PARTSTREAM_OPERATIONS_PORT", settings.operations_host)
        for port, name in zip(ports, names, strict=True)
    ]
    require_free((*plan.wanted, *own))
    return replace(plan, operations=dict(zip(names, ports, strict=True)))


def _chosen(name: str, used: set[int], folder: Path) -> int:
    port = remembered_port(folder, f"operations of {name}")
    while port in used:
        port = free_port()
    used.add(port)
    return port
