"""A restore under the whole running stack: caches, browsers and audit go over to the new epoch and mix nothing."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.flow.admin import Admin
from tests.flow.eventually import eventually
from tests.flow.recorders import LiveRecorder
from tests.flow.running_stack import RunningStack


async def test_after_a_restore_every_part_of_the_stack_follows_the_new_history(
    stack: RunningStack, admin: Admin, tmp_path: Path
) -> None:
    part = f"F-{uuid.uuid4().hex[:12]}"
    file = tmp_path / "inventory.dump"
    await admin.create_part(part)
    await admin.put_stock(part, 40, expected_version=0)
    dumped = await stack.verb("db", "dump", "inventory", str(file))
    await admin.put_stock(part, 7, expected_version=1)
    await admin.put_stock(part, 6, expected_version=2)
    await eventually(lambda: _audited(admin, part, [1, 2, 3]))
    async with httpx.AsyncClient(timeout=20) as shopper, LiveRecorder(stack, [part], edge=2) as browser:
        urls = [f"{stack.edge_url(number)}/api/v1/parts/{part}/stock" for number in (1, 2)]
        warm = [(await shopper.get(url)).json()["available"] for url in urls]

        restored = await stack.verb("db", "restore", "inventory", str(file))
        back = [await _until_stock(shopper, url, 40) for url in urls]
        response = await eventually(lambda: _put(admin, part, 55))
        token = response.headers["Partstream-Revision"]
        fresh = [
            (await shopper.get(url, headers={"Partstream-Min-Revision": token})).json()["available"] for url in urls
        ]
        await browser.until(lambda: browser.levels[part]["available"] == 55)

    assert (dumped[0], restored[0]) == (0, 0), dumped[1] + restored[1]
    assert (warm, [page["version"] for page in back], fresh) == ([6, 6], [1, 1], [55, 55])
    rows = await eventually(lambda: _audited(admin, part, [1, 2, 2, 3]))
    assert sorted(row["new"]["on_hand"] for row in rows) == [6, 7, 40, 55]
    assert (await stack.verb("log", "verify"))[0] == 0


async def test_what_was_written_until_the_restore_is_in_the_audit_trail(
    stack: RunningStack, admin: Admin, tmp_path: Path
) -> None:
    """What was acknowledged in the last moments of the old epoch, and followed by no audit job, was nowhere."""
    part = f"F-{uuid.uuid4().hex[:12]}"
    file = tmp_path / "inventory.dump"
    await admin.create_part(part)
    await admin.put_stock(part, 0, expected_version=0)
    await stack.verb("db", "dump", "inventory", str(file))
    epochs: dict[str, list[int]] = {}
    over = asyncio.Event()

    async def write_on() -> None:
        while not over.is_set():
            response = await admin.adjust(part, 1)
            if response is not None:
                epoch = response.headers["ETag"].strip('"').split(".")[0]
                epochs.setdefault(epoch, []).append(response.json()["version"])

    writing = asyncio.create_task(write_on())
    restored = await stack.verb("db", "restore", "inventory", str(file))
    await eventually(lambda: _has(lambda: len(epochs) == 2))
    over.set()
    await writing

    old, new = epochs.values()
    assert restored[0] == 0, restored[1]
    assert "the audit trail has every entry of the epoch before" in restored[1]
    acknowledged = Counter([1, *old, *new])
    await eventually(lambda: _holds(admin, part, acknowledged))


async def _holds(admin: Admin, part: str, acknowledged: Counter[int]) -> bool:
    rows = [row for row in await admin.audit(part) if row["service"] == "inventory"]
    return Counter(row["new"]["version"] for row in rows if row["operation"] != "gap") >= acknowledged


async def _has(fact: Callable[[], bool]) -> bool:
    return fact()


async def _until_stock(shopper: httpx.AsyncClient, url: str, available: int) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        page: dict[str, Any] = (await shopper.get(url)).json()
        return page if page.get("available") == available else None

    return await eventually(look)


async def _put(admin: Admin, part: str, on_hand: int) -> httpx.Response | None:
    try:
        return await admin.put_stock(part, on_hand, expected_version=1)
    except AssertionError:
        return None  # the services are finding the database again


async def _audited(admin: Admin, part: str, versions: list[int]) -> list[dict[str, Any]] | None:
    """The audit rows of the part's stock, once they are of these versions."""
    rows = [row for row in await admin.audit(part) if row["service"] == "inventory"]
    return rows if sorted(row["new"]["version"] for row in rows) == versions else None
