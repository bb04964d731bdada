"""What a person needs to know once everything is healthy."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from stack import stack_state
from stack.checkout import COMMAND
from stack.supervision.first_admin import FirstAdmin
from stack.supervision.stack_plan import StackFacts

WIDTH = 78


def banner(facts: StackFacts, admin: FirstAdmin | None, data_folder: Path) -> str:
    """Return the lines to show: a label and one value each, which ends its line so that it can be copied."""
    edge, *further = facts.edge_urls
    folder = _folder_argument(data_folder)
    rows = [
        ("Partstream is ready", edge),
        *_labelled("further edges", further),
        ("parts", f"{edge}/api/v1/parts"),
        ("API reference", f"{edge}/schema"),
        ("live updates", f"{edge.replace('http', 'ws', 1)}/api/v1/live"),
        ("health", f"{edge}/health/ready"),
        ("metrics of edge-1", f"{facts.operations_url('edge-1')}/metrics"),
        *_labelled("gRPC inventory", _addresses(facts, facts.ports.inventory)),
        *_labelled("gRPC content", _addresses(facts, facts.ports.content)),
        ("data folder", str(data_folder)),
        ("SQL shell", f"{COMMAND} psql{folder} inventory"),
        ("access token", f"{COMMAND} token{folder}"),
    ]
    if admin is not None:
        shown = admin.password if admin.generated else "as set by PARTSTREAM_ADMIN_PASSWORD"
        rows += [("admin user", admin.username), ("admin password", shown)]
        if admin.generated:
            rows.append(("", "(this password is shown only once)"))
    rows.append(("stop", "Ctrl-C"))
    rule = "─" * WIDTH
    return "\n".join([rule, *(f"  {name:<20} {value}" for name, value in rows), rule])


def _labelled(label: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """Return a row for each value, the first with the label."""
    return [(label if not at else "", value) for at, value in enumerate(values)]


def _addresses(facts: StackFacts, ports: list[int]) -> list[str]:
    return [f"{facts.settings.grpc_host}:{port}" for port in ports]


def _folder_argument(data_folder: Path) -> str:
    return "" if data_folder == stack_state.data_folder(None) else f" --data-dir {shlex.quote(str(data_folder))}"
