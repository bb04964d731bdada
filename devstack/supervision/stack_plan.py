"""Which processes make up the stack, with the settings each one gets: its own database and nobody else's."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.servers.launcher import child_command
from devstack.stack_state import ProcessState
from devstack.supervision.leftovers import FOLDER_MARK
from devstack.supervision.port_plan import PortPlan, reachable
from devstack.supervision.signing_keys import KeyFiles
from devstack.supervision.supervised_process import ProcessPlan
from devstack.supervision.up_settings import UpSettings

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
        """Answer the environment of a process with the databases named and further settings."""
        host = reachable(self.settings.host)
        own = {name: value for name, value in os.environ.items() if name not in WITHHELD}
        own |= {
            FOLDER_MARK: str(self.data_folder),
            "PARTSTREAM_HOST": self.settings.host,
            "PARTSTREAM_INVENTORY_TARGETS": _targets(host, self.ports.inventory),
            "PARTSTREAM_CONTENT_TARGETS": _targets(host, self.ports.content),
            "PARTSTREAM_EDGE_URLS": ",".join(self.edge_urls),
            "PARTSTREAM_REDIS_URL": self.redis_url or "none",
            "PARTSTREAM_JWKS": str(self.keys.jwks),
            "PARTSTREAM_LOG_FORMAT": self.settings.log_format,
            "PYTHONUNBUFFERED": "1",
        }
        own |= {DATABASE_OWNERS[name][1]: self.databases[name] for name in databases}
        return own | {name: str(value) for name, value in settings.items()}

    @property
    def edge_urls(self) -> list[str]:
        """The address of every edge, as this machine reaches it."""
        return [f"http://{reachable(self.settings.host)}:{port}" for port in self.ports.edge]


def expected(servers: Sequence[str], ports: PortPlan, *, tasks: bool) -> list[ProcessState]:
    """Answer what the stack will consist of, in the order of its start, with nothing of it running yet."""
    numbered = {"inventory": ports.inventory, "content": ports.content, "edge": ports.edge}
    found = [ProcessState(name, None, [], "log", "") for name in servers]
    for name, given in numbered.items():
        found += [ProcessState(f"{name}-{number}", None, [port], "log", "") for number, port in enumerate(given, 1)]
    further = zip(TASKS, _metrics_ports(ports), strict=True) if tasks else ()
    return found + [ProcessState(name, None, given, "log", "") for name, given in further]


def service_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Answer every copy of the two services."""
    plans = []
    for name, ports in (("inventory", facts.ports.inventory), ("content", facts.ports.content)):
        room, _ = DATABASE_OWNERS[name]
        # The inventory follows the content service as itself.
        own = {"PARTSTREAM_SIGNING_KEY_FILE": facts.keys.signing_key} if name == "inventory" else {}
        for number, port in enumerate(ports, 1):
            environment = facts.environment(name, **{f"PARTSTREAM_{name.upper()}_PORT": port}, **own)
            target = f"{reachable(facts.settings.host)}:{port}"
            plans.append(ProcessPlan(f"{name}-{number}", program(room, "serve"), environment, "grpc", target, [port]))
    return plans


def edge_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Answer every copy of the edge."""
    plans = []
    for number, (port, url) in enumerate(zip(facts.ports.edge, facts.edge_urls, strict=True), 1):
        environment = facts.environment(
            "edge", "audit", PARTSTREAM_PORT=port, PARTSTREAM_SIGNING_KEY_FILE=facts.keys.signing_key
        )
        target = f"{url}/health/ready"
        plans.append(ProcessPlan(f"edge-{number}", program("edge", "serve"), environment, "http", target, [port]))
    return plans


def task_plans(facts: StackFacts) -> list[ProcessPlan]:
    """Answer the worker and the scheduler; without Redis there is no broker for them."""
    if facts.redis_url is None:
        return []
    plans = []
    for name, ports in zip(TASKS, _metrics_ports(facts.ports), strict=True):
        environment = facts.environment("audit", PARTSTREAM_SIGNING_KEY_FILE=facts.keys.signing_key)
        if ports:
            environment["PARTSTREAM_METRICS_PORT"] = str(ports[0])
        plans.append(ProcessPlan(name, program("tasks", name), environment, "log", "", ports))
    return plans


def _metrics_ports(ports: PortPlan) -> list[list[int]]:
    return [[port] for port in ports.metrics] or [[] for _ in TASKS]


def program(room: str, *arguments: str) -> list[str]:
    """Answer the command that runs a room of this repository as a child that ends with its parent."""
    return child_command([sys.executable, "-m", room, *arguments])


def _targets(host: str, ports: list[int]) -> str:
    return ",".join(f"{host}:{port}" for port in ports)
