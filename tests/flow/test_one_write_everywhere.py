"""One write is seen everywhere: by another edge, an open socket, a gRPC watcher and the audit."""

import uuid
from typing import Any

import asyncpg
import httpx

from tests.flow.admin import Admin
from tests.flow.eventually import eventually
from tests.flow.recorders import LiveRecorder, StockRecorder
from tests.flow.running_stack import RunningStack


def new_part() -> str:
    return f"F-{uuid.uuid4().hex[:12]}"


async def test_one_admin_put_of_stock_is_seen_everywhere(stack: RunningStack, admin: Admin) -> None:
    part = new_part()
    await admin.create_part(part)
    await admin.put_stock(part, 40, expected_version=0)
    async with StockRecorder(stack) as watcher, LiveRecorder(stack, [part], edge=2) as browser:
        response = await admin.put_stock(part, 7, expected_version=1)

        token = response.headers["Partstream-Revision"]
        async with httpx.AsyncClient() as shopper:
            url = f"{stack.edge_url(2)}/api/v1/parts/{part}/stock"
            seen = (await shopper.get(url, headers={"Partstream-Min-Revision": token})).json()
        await browser.until(lambda: browser.version(part) == 2)
        await watcher.until(lambda: any(change.part_id == part for change in watcher.changes))

    assert (seen["available"], seen["version"]) == (7, 2)
    assert browser.levels[part]["available"] == 7
    change = next(change for change in watcher.changes if change.part_id == part)
    assert (change.before.on_hand, change.after.on_hand, change.origin.actor.username) == (40, 7, "admin")
    row = await eventually(lambda: audit_row(admin, part, "stock", 2))
    assert (row["old"]["on_hand"], row["new"]["on_hand"]) == (40, 7)
    assert (row["actor"]["username"] if isinstance(row["actor"], dict) else row["actor"]) == "admin"
    assert row["reason"] == "flow test"
    assert watcher.faults + browser.faults == []


async def test_one_admin_put_of_content_is_seen_everywhere(stack: RunningStack, admin: Admin) -> None:
    part = new_part()
    created = await admin.create_part(part, description="<p>Old</p>")
    async with LiveRecorder(stack, [part], edge=2) as browser, httpx.AsyncClient() as shopper:
        response = await admin.put_part(created, description="<p>New</p>")

        await browser.until(lambda: any(event["type"] == "content" for event in browser.events))
        headers = {"Partstream-Min-Revision": response.headers["Partstream-Revision"]}
        page = await shopper.get(f"{stack.edge_url(2)}/api/v1/parts/{part}", headers=headers)

    assert page.json()["description"] == "<p>New</p>"
    event = next(event for event in browser.events if event["type"] == "content")
    assert (event["version"], event["changed"]) == (2, ["description"])
    row = await eventually(lambda: audit_row(admin, part, "content", 2))
    assert (row["old"]["description"], row["new"]["description"]) == ("<p>Old</p>", "<p>New</p>")


async def test_after_a_content_change_the_next_product_page_is_a_hit(stack: RunningStack, admin: Admin) -> None:
    part = new_part()
    created = await admin.create_part(part)
    response = await admin.put_part(created, title="Warm")
    await eventually(lambda: audit_row(admin, part, "content", 2))

    async with httpx.AsyncClient(
        headers={"Partstream-Min-Revision": response.headers["Partstream-Revision"]}
    ) as shopper:
        url = f"{stack.edge_url()}/api/v1/parts/{part}"
        page = await eventually(lambda: hit(shopper, url))

    assert page.json()["title"] == "Warm"


async def test_what_an_edge_has_written_is_in_its_audit_at_once(stack: RunningStack, admin: Admin) -> None:
    part = new_part()
    for version in range(1, 6):
        if version == 1:
            content = await admin.create_part(part)
        else:
            content = (await admin.put_part(content, title=f"Title {version}")).json()
        assert await audit_row(admin, part, "content", version), version
        await admin.put_stock(part, 10 * version, expected_version=version - 1)
        assert await audit_row(admin, part, "stock", version), version


async def test_an_update_by_sql_is_on_the_socket_and_in_the_audit_with_the_role(
    stack: RunningStack, admin: Admin
) -> None:
    part = new_part()
    await admin.create_part(part)
    await admin.put_stock(part, 40, expected_version=0)
    async with LiveRecorder(stack, [part]) as browser:
        connection = await asyncpg.connect(stack.state.databases["inventory"])
        await connection.execute("UPDATE stock_level SET on_hand = 3 WHERE part_id = $1", part)
        await connection.close()

        await browser.until(lambda: browser.version(part) == 2)

    assert browser.levels[part]["available"] == 3
    row = await eventually(lambda: audit_row(admin, part, "stock", 2))
    assert (row["actor"], row["source"], row["new"]["on_hand"]) == ("inventory", "sql", 3)


async def audit_row(admin: Admin, part: str, entity: str, version: int) -> dict[str, Any] | None:
    rows = [
        row
        for row in await admin.audit(part)
        if row["new"] and row["new"].get("version") == version and entity in f"{row['service']}{row['entity']}"
    ]
    assert len(rows) <= 1
    return rows[0] if rows else None


async def hit(shopper: httpx.AsyncClient, url: str) -> httpx.Response | None:
    page = await shopper.get(url)
    assert page.status_code == 200
    return page if "hit" in page.headers["Cache-Status"] else None
