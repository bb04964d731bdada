"""What a person needs to know once everything is healthy."""

import shlex
from pathlib import Path

from devstack import stack_state
from devstack.supervision.first_admin import FirstAdmin
from devstack.supervision.stack_plan import StackFacts

WIDTH = 78


def banner(facts: StackFacts, admin: FirstAdmin | None, data_folder: Path) -> str:
    """Answer the lines to show."""
    edge, *further = facts.edge_urls
    rows = [("Partstream is ready", edge)]
    if further:
        rows.append(("further edges", "  ".join(further)))
    rows += [
        ("parts", f"{edge}/api/v1/parts"),
        ("API reference", f"{edge}/schema"),
        ("live updates", f"{edge.replace('http', 'ws', 1)}/api/v1/live"),
        ("health", f"{edge}/health/ready"),
        ("gRPC inventory", _addresses(facts, facts.ports.inventory)),
        ("gRPC content", _addresses(facts, facts.ports.content)),
        ("data folder", str(data_folder)),
        ("SQL shell", f"./partstream psql{_folder_argument(data_folder)} inventory"),
    ]
    if admin is not None:
        shown = f"{admin.password}   (shown this once)" if admin.generated else "as set by PARTSTREAM_ADMIN_PASSWORD"
        rows += [("admin user", admin.username), ("admin password", shown)]
    rows.append(("stop", "Ctrl-C"))
    rule = "─" * WIDTH
    return "\n".join([rule, *(f"  {name:<20} {value}" for name, value in rows), rule])


def _addresses(facts: StackFacts, ports: list[int]) -> str:
    return "  ".join(f"{facts.settings.host}:{port}" for port in ports)


def _folder_argument(data_folder: Path) -> str:
    return "" if data_folder == stack_state.data_folder(None) else f" --data-dir {shlex.quote(str(data_folder))}"
