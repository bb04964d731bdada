"""The processes of the stack and the settings of each: every process gets its own database only."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stack.servers.launcher import child_command
from stack.stack_state import ProcessState
from stack.supervision.leftovers import FOLDER_MARK
from stack.supervision.liveness import Liveness
from stack.supervision.port_plan import PortPlan, reachable
from stack.supervision.probes import responds
from stack.supervision.signing_keys import KeyFiles
from stack.supervision.supervised_process import ProcessPlan
from stack.supervision.up_settings import UpSettings

# The room that owns each database, and the setting that tells it where.
DATABASE_OWNERS = {
    "inventory": ("inventory_svc", "PARTSTREAM_INVENTORY_DATABASE_URL"),
    "content": ("content_svc", "PARTSTREAM_CONTENT_DATABASE_URL"),
    "edge": ("edge", "PARTSTREAM_EDGE_DATABASE_URL"),
    "audit": ("tasks", "PARTSTREAM_AUDIT_DATABASE_URL"),
}
TASKS = ("worker", "scheduler")
# Not for every process: each is given its own.
WITHHELD = frozenset(
    {"PARTSTREAM_DATABASE_URL", "PARTSTREAM_ADMIN_PASSWORD", *(setting for _, setting in DATABASE_OWNERS.values())}
)


@dataclass(frozen=True, slots=True)
class StackFacts:
    """What is known once the servers run."""

    settings: UpSettings
    ports: PortPlan
    databases: Mapping[str, str]
    redis_url: str | None
    keys: KeyFiles
    data_folder: Path

    def environment(self, *databases: str, **settings: object) -> dict[str, str]:
        """Return the environment of a process with the databases named and further settings."""
        host = reachable(self.settings.grpc_host)
        own = {name: value for name, value in os.environ.items() if name not in WITHHELD}
        own |= {
            FOLDER_MARK: str(self.data_folder),
            "PARTSTREAM_HOST": self.settings.host,
            "PARTSTREAM_INVENTORY_TARGETS": _targets(host, self.ports.inventory),
            "PARTSTREAM_CONTENT_TARGETS": _targets(host, self.ports.content),
            "PARTSTREAM_EDGE_URLS": ",".join(self.edge_urls),
            "PARTSTREAM_REDIS_URL": self.redis_url or "none",
            "PARTSTREAM_JWKS": str(self.keys.jwks),
            "PARTSTREAM_PROCESS_KEYS": str(self.keys.processes.key_set),
            "PARTSTREAM_REVOCATION_TARGETS": _targets(host, self.ports.identity),
            "PARTSTREAM_LOG_FORMAT": self.settings.log_format,
            "PYTHONUNBUFFERED": "1",
        }
        own |= {DATABASE_OWNERS[name][1]: self.databases[name] for name in databases}
        return own | {name: str(value) for name, value in settings.items()}

    @property
    def edge_urls(self) -> list[str]:
        """The address of every edge, as this machine reaches it."""
        scheme = "http" if self.settings.http_tls is None else "https"
        return [f"{scheme}://{reachable(self.settings.edge_host)}:{port}" for port in self.ports.edge]

    def operations_url(self, name: str) -> str:
        """Return the address of the operations port of a process, as this machine reaches it."""
        return f"http://{reachable(self.settings.operations_host)}:{self.ports.operations[name]}"

    def plan(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> ProcessPlan:
        """Return how a process with an operations port runs; its health is asked there, whatever it serves itself."""
        ports = _ports(self.ports, name)
        own = {**environment, "PARTSTREAM_OPERATIONS_PORT": str(self.ports.operations[name])}
        address = self.operations_url(name)
        liveness = Liveness(partial(responds, f"{address}/health/live"), self.settings.unresponsive_seconds)
        return ProcessPlan(name, command, own, "http", f"{address}/health/ready", ports, liveness=liveness)


def expected(servers: Sequence[str], ports: PortPlan, *, tasks: bool) -> list[ProcessState]:
    """Return what the stack will consist of, in the order of its start, with nothing of it running yet."""
    names = [*ports.serving, *(TASKS if tasks else ())]
    found = [ProcessState(name, None, [], "log", "") for name in servers]
    return found + [ProcessState(name, None, _ports(ports, name), "log", "") for name in names]


def _ports(ports: PortPlan, name: str) -> list[int]:
    """Return the ports of a process: those that it serves at, then its operations port."""
    return [plan[name] for plan in (ports.serving, ports.of_identity, ports.operations) if name in plan]


def service_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Return every copy of the two services."""
    plans = []
    for name, ports in (("inventory", facts.ports.inventory), ("content", facts.ports.content)):
        room, _ = DATABASE_OWNERS[name]
        for number, port in enumerate(ports, 1):
            environment = facts.environment(
                name,
                **{f"PARTSTREAM_{name.upper()}_PORT": port},
                PARTSTREAM_CREDENTIAL_FILE=facts.keys.processes.key(name),
            )
            plans.append(facts.plan(f"{name}-{number}", program(room, "serve"), environment))
    return plans


def edge_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Return every copy of the edge."""
    plans = []
    for number, (port, identity_port) in enumerate(zip(facts.ports.edge, facts.ports.identity, strict=True), 1):
        environment = facts.environment(
            "edge",
            "audit",
            PARTSTREAM_PORT=port,
            PARTSTREAM_IDENTITY_PORT=identity_port,
            PARTSTREAM_SIGNING_KEY_FILE=facts.keys.signing_key,
            PARTSTREAM_CREDENTIAL_FILE=facts.keys.processes.key("edge"),
        )
        plans.append(facts.plan(f"edge-{number}", program("edge", "serve"), environment))
    return plans


def task_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Return the worker and the scheduler; without Redis there is no broker for them."""
    if facts.redis_url is None:
        return []
    environment = facts.environment("audit", "edge")
    return [facts.plan(name, program("tasks", name), environment) for name in TASKS]


def program(room: str, *arguments: str) -> list[str]:
    """Return the command that runs a room of this repository as a child that ends with its parent."""
    return child_command([sys.executable, "-m", room, *arguments])


def _targets(host: str, ports: Sequence[int]) -> str:
    return ",".join(f"{host}:{port}" for port in ports)
