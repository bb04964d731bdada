"""Unsafe HTML that SQL wrote into the database: no response of the service contains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from chassis.errors import VersionConflict
from content_svc.convert.safe_html import safe_html
from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import RunningService, rejected, resistor

if TYPE_CHECKING:
    from partstream.content.v1 import part_pb2

UNSAFE = '<p>Fine.</p><script>alert(1)</script><img src=x onerror="alert(2)"><a href="javascript:alert(3)">x</a>'
SAFE = '<p>Fine.</p><img src="x"><a rel="noopener noreferrer nofollow">x</a>'


@pytest.fixture
async def unsafe(service: RunningService, resistors: str, sql: asyncpg.Connection) -> str:
    """A published part whose description SQL has replaced, as its version 2."""
    await service.add_part(resistor("R1"))
    await sql.execute("UPDATE part SET description = $1 WHERE part_id = 'R1'", UNSAFE)
    return "R1"


async def every_read(service: RunningService, part_id: str, *, staff: bool) -> dict[str, part_pb2.Part]:
    """Return the part as each read returns it."""
    stub = service.staff if staff else service.public
    snapshot = [
        part
        async for message in stub.SnapshotParts(pb.SnapshotPartsRequest())
        for part in message.parts
        if part.part_id == part_id
    ]
    return {
        "get": (await stub.GetPart(pb.GetPartRequest(part_id=part_id))).part,
        "batch": (await stub.BatchGetParts(pb.BatchGetPartsRequest(part_ids=[part_id]))).parts[0],
        "list": (await stub.ListParts(pb.ListPartsRequest())).parts[0],
        "snapshot": snapshot[0],
    }


@pytest.mark.parametrize("staff", [True, False])
async def test_no_read_returns_unsafe_html(service: RunningService, unsafe: str, staff: bool) -> None:
    found = await every_read(service, unsafe, staff=staff)

    assert {name: part.description for name, part in found.items()} == dict.fromkeys(found, SAFE)
    assert {name: part.description_sanitised for name, part in found.items()} == dict.fromkeys(found, staff)


@pytest.mark.parametrize("staff", [True, False])
async def test_no_watch_returns_unsafe_html(
    service: RunningService, resistors: str, sql: asyncpg.Connection, staff: bool
) -> None:
    await service.add_part(resistor("R1"))
    async with service.watching(staff=staff) as watching:
        await sql.execute("UPDATE part SET description = $1 WHERE part_id = 'R1'", UNSAFE)
        await sql.execute("UPDATE part SET title = 'Another' WHERE part_id = 'R1'")
        first, second = await watching.changes(2)

    assert [first.after.description, second.before.description, second.after.description] == [SAFE] * 3
    assert [first.after.description_sanitised, second.before.description_sanitised] == [staff] * 2
    assert not first.before.description_sanitised


async def test_a_conflict_returns_no_unsafe_html(service: RunningService, unsafe: str) -> None:
    async with rejected(VersionConflict) as found:
        await service.update(resistor(unsafe, title="Other"), "title", expected_version=1)

    current = found[0].current
    assert current.description == SAFE  # type: ignore[attr-defined]


async def test_a_sanitised_description_can_be_saved_and_is_then_safe(
    service: RunningService, unsafe: str, sql: asyncpg.Connection
) -> None:
    shown = (await service.staff.GetPart(pb.GetPartRequest(part_id=unsafe))).part
    saved = await service.update(shown, "description", expected_version=2)

    assert (saved.version, saved.description, saved.description_sanitised) == (3, SAFE, False)
    assert await sql.fetchval("SELECT description FROM part WHERE part_id = 'R1'") == SAFE


@pytest.mark.parametrize("text", ["", "10 kΩ ±1 %.", "Two\nlines", "“Quoted”, it's fine", UNSAFE, "a & b < c"])
def test_cleaning_is_idempotent(text: str) -> None:
    once = safe_html(text)

    assert safe_html(once) == once
    assert "<script" not in once
    if not set(text) & set("<>&"):
        assert once == text
