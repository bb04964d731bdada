"""The output of ``--json``: no key is removed and no type changes; new keys are allowed (docs/compatibility.md).

The snapshots are in ``tests/cli/snapshots/``. ``RENEW_SNAPSHOTS=1`` writes them again from what the commands print now.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.tree import ROOT
from tests.flow.admin import Admin
from tests.flow.running_stack import RunningStack

SNAPSHOTS = ROOT / "tests" / "cli" / "snapshots"
RENEW = "RENEW_SNAPSHOTS"
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
MOVEMENTS = """ts,sku,delta,level_before,level_after,reason,snapshot
2026-01-05T03:00:00Z,J-2,,,5,listed,s1
2026-01-06T03:00:00Z,J-2,-2,6,4,net_out,s2
"""


async def test_status(stack: RunningStack) -> None:
    _hold("status", [await _printed(stack, "status", "--json")])


async def test_events(stack: RunningStack, admin: Admin) -> None:
    await admin.create_part("J-1")
    await admin.put_stock("J-1", 5, 0)

    for service in ("content", "inventory"):
        code, output = await stack.verb("events", "--service", service, "--part", "J-1", "--json")
        assert code == 0, output
        _hold(f"events-{service}", [json.loads(line) for line in output.splitlines()])


async def test_users(stack: RunningStack) -> None:
    _hold("users-create", [await _printed(stack, "users", "create", "json-user", "--role", "support", "--json")])
    _hold("users-reset-password", [await _printed(stack, "users", "reset-password", "json-user", "--json")])
    _hold("users-unlock", [await _printed(stack, "users", "unlock", "json-user", "--json")])
    _hold("users-list", [await _printed(stack, "users", "list", "--json")])


async def test_import(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.jsonl"
    rows: list[dict[str, Any]] = [
        {"sku": "J-3", "title": "Bolt", "category": ["Json"], "stock": 3, "colour": "red"},
        {"sku": "J 4"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _hold("import", [await _written(stack, tmp_path, "import", str(path))])

    path.write_text(json.dumps({**rows[0], "title": "Long bolt"}) + "\n")
    _hold("import-check", [await _written(stack, tmp_path, "import", str(path), "--check")])


async def test_replay(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "movements.csv"
    path.write_text(MOVEMENTS)

    _hold("replay", [await _written(stack, tmp_path, "replay", str(path))])


async def test_load(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    await admin.create_part("J-5")

    _hold("load", [await _written(stack, tmp_path, "load", "--users", "1", "--rate", "1", "--time", "3s")])


async def _printed(stack: RunningStack, *command: str) -> Any:
    _, output = await stack.verb(*command)
    return json.loads(output)


async def _written(stack: RunningStack, folder: Path, *command: str) -> Any:
    path = folder / "output.json"
    _, output = await stack.verb(*command, "--json", str(path))
    assert path.exists(), output
    return json.loads(path.read_text())


def _hold(name: str, documents: list[Any]) -> None:
    """Compare the shape of the documents with a snapshot, or write the snapshot."""
    path = SNAPSHOTS / f"{name}.json"
    shape = _shape(documents)
    if os.environ.get(RENEW):
        path.write_text(json.dumps(shape, indent=2) + "\n")
    problems = list(_problems(json.loads(path.read_text()), shape, name))
    assert not problems, "\n".join(
        (
            f"The --json output of {name} is not compatible with {path.relative_to(ROOT)}:",
            *problems,
            f"If docs/compatibility.md allows this, write the snapshots again: run this test with {RENEW}=1.",
        )
    )


def _shape(value: Any) -> Any:
    """Return a value with its type in place of each scalar, and one element for all elements of a list."""
    if isinstance(value, dict):
        # A key of digits is a value, for example a response time in the histogram of Locust.
        return {key: _shape(member) for key, member in sorted(value.items()) if not key.isdigit()}
    if isinstance(value, list):
        merged: Any = None
        for element in value:
            merged = _shape(element) if merged is None else _merged(merged, _shape(element))
        return [] if merged is None else [merged]
    return TYPES[type(value)]


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return {key: _merged(one.get(key, other.get(key)), other.get(key, one.get(key))) for key in keys}
    if isinstance(one, list) and isinstance(other, list):
        return [_merged(one[0], other[0])] if one and other else one or other
    if isinstance(one, str) and isinstance(other, str):
        return "|".join(sorted({*one.split("|"), *other.split("|")}))
    return other if one == "null" else one


def _problems(expected: Any, found: Any, path: str) -> Iterator[str]:
    """Yield a line for each key that is missing and each value of another type."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, member in expected.items():
            if key in found:
                yield from _problems(member, found[key], f"{path}.{key}")
            else:
                yield f"  {path}.{key}: removed"
    elif isinstance(expected, list) and isinstance(found, list):
        if expected and found:
            yield from _problems(expected[0], found[0], f"{path}[]")
    elif isinstance(expected, str) and isinstance(found, str):
        if new := {*found.split("|")} - {*expected.split("|")}:
            yield f"  {path}: {expected}, now {', '.join(sorted(new))}"
    elif "null" not in (expected, found):
        yield f"  {path}: {_kind(expected)}, now {_kind(found)}"


def _kind(shape: Any) -> str:
    return "object" if isinstance(shape, dict) else "array" if isinstance(shape, list) else str(shape)


def test_a_removed_key_and_another_type_are_reported_and_an_added_key_is_not() -> None:
    before = _shape([{"a": 1, "b": {"c": "text"}, "d": [{"e": None}]}])
    after = _shape([{"a": "1", "b": {}, "d": [{"e": None}], "f": True}])

    assert list(_problems(before, after, "x")) == [
        "  x[].a: integer, now string",
        "  x[].b.c: removed",
    ]
    assert list(_problems(before, {"a": 1}, "x")) == ["  x: array, now object"]
