"""The browsing load finds nothing to complain about."""

import json
from pathlib import Path

from tests.flow.admin import Admin
from tests.flow.running_stack import RunningStack


async def test_shoppers_get_what_they_ask_for(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    await admin.create_part("L-1")
    figures = tmp_path / "reports" / "figures.of.today"

    code, output = await stack.verb("load", "--users", "4", "--rate", "4", "--time", "5s", "--json", str(figures))

    assert code == 0, output
    assert "Aggregated" in output
    assert "Responses: " in output
    requests = json.loads(figures.read_text())
    assert sum(request["num_requests"] for request in requests) > 0
    assert sum(request["num_failures"] for request in requests) == 0
    assert {"/categories", "/parts/{id}", "/parts?category"} <= {request["name"] for request in requests}
