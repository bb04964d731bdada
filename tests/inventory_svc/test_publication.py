"""The inventory follows the content service for which parts are published."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import content_svc.app
import content_svc.settings
import inventory_svc.settings
from changelog import cursor as cursors
from chassis.channels import open_channel
from chassis.database import Database
from chassis.process_keys import entry
from chassis.tokens import SERVICE_PERMISSIONS, SigningKey
from inventory_svc.commands import publication
from inventory_svc.store.visibility import VisibilityStore
from partstream.content.v1 import part_pb2, part_service_pb2
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub
from partstream.inventory.v1 import reservation_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.harness.no_limits import without_rates
from tests.inventory_svc import running as services
from tests.inventory_svc.running import ADMIN_ID, Running, refusal

if TYPE_CHECKING:
    from pathlib import Path

DRAFT, PUBLISHED, ARCHIVED = (
    part_pb2.PART_STATUS_DRAFT,
    part_pb2.PART_STATUS_PUBLISHED,
    part_pb2.PART_STATUS_ARCHIVED,
)


class Content:
    """A running content service and its editor."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.key = SigningKey.generate()
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps(self.key.jwks()))
        credential = SigningKey.generate()
        self.credential_file, self.process_keys = folder / "inventory.pem", folder / "content-processes.json"
        self.credential_file.write_bytes(credential.pem())
        self.process_keys.write_text(json.dumps({"keys": [entry(credential.jwk, "inventory")]}))
        self.port = 0

    async def start(self) -> None:
        settings = content_svc.settings.Settings(
            database_url=self.dsn,
            jwks=str(self.jwks),
            process_keys=str(self.process_keys),
            port=self.port,
            revocation_targets=None,
            limits=without_rates(),
        )
        self.app = await content_svc.app.start(settings)
        self.port = self.app.server.port
        token = self.key.mint(subject=ADMIN_ID, name="editor", permissions=SERVICE_PERMISSIONS)
        self.channel = open_channel([f"127.0.0.1:{self.port}"], token=lambda: token)
        self.stub: Any = ContentServiceStub(self.channel)

    async def stop(self) -> None:
        await self.channel.close()
        await self.app.stop()

    async def add(self, part_id: str, status: part_pb2.PartStatus.ValueType) -> str:
        part = part_pb2.Part(part_id=part_id, title=part_id, category_id="leds", status=status)
        response = await self.stub.CreatePart(part_service_pb2.CreatePartRequest(part=part))
        token: str = response.revision_token
        return token

    async def become(self, part_id: str, status: part_pb2.PartStatus.ValueType) -> str:
        request = part_service_pb2.UpdatePartRequest(
            part=part_pb2.Part(part_id=part_id, status=status), unconditional=True
        )
        request.update_mask.paths.append("status")
        token: str = (await self.stub.UpdatePart(request)).revision_token
        return token


@pytest.fixture
async def content(content_dsn: str, tmp_path: Path) -> AsyncIterator[Content]:
    service = Content(content_dsn, tmp_path)
    await service.start()
    category = part_pb2.Category(category_id="leds", name="LEDs")
    await service.stub.CreateCategory(part_service_pb2.CreateCategoryRequest(category=category))
    yield service
    await service.stop()


@pytest.fixture
def following(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every inventory follows the content service."""

    def settings(**given: Any) -> inventory_svc.settings.Settings:
        own = {"content_targets": (f"127.0.0.1:{content.port}",), "credential_file": content.credential_file}
        return inventory_svc.settings.Settings(**{**given, **own})

    monkeypatch.setattr(services, "Settings", settings)


@pytest.fixture
async def inventory(following: None, inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An inventory that follows the content service."""
    async with services.running(inventory_dsn, tmp_path) as service:
        yield service


async def stocked(inventory: Running, part_id: str, on_hand: int = 5) -> None:
    await inventory.staff.SetStock(pb.SetStockRequest(part_id=part_id, on_hand=on_hand, expected_version=0))


async def applied(dsn: str, token: str) -> None:
    """Return once the table has what a token of the content service stands for."""
    wanted = cursors.position_in(token, "content")
    assert wanted is not None
    database = await Database.open(dsn, application_name="test", max_size=1)
    store = VisibilityStore(database)
    async with asyncio.timeout(20):
        while not await _has(store, wanted):  # noqa: ASYNC110 - the signal is in the database
            await asyncio.sleep(0.01)
    await database.close()


async def _has(store: VisibilityStore, wanted: cursors.Position) -> bool:
    here = await store.position()
    return here is not None and here.epoch == wanted.epoch and here.revision >= wanted.revision


def get(part_id: str, token: str = "") -> pb.GetStockRequest:
    return pb.GetStockRequest(part_id=part_id, min_revision_token=token)


async def test_what_was_there_before_comes_by_snapshot_and_what_changes_by_the_log(
    content: Content, inventory: Running
) -> None:
    for part_id, status in (("a", PUBLISHED), ("b", DRAFT), ("c", PUBLISHED)):
        await stocked(inventory, part_id)
        await content.add(part_id, status)
    token = await content.become("c", ARCHIVED)

    await applied(inventory.dsn, token)

    rows = inventory.sql("SELECT part_id, published FROM part_visibility ORDER BY part_id")
    assert rows == [("a", True), ("b", False), ("c", False)]
    assert (await inventory.public.GetStock(get("a"))).stock.available == 5
    assert (await refusal(inventory.public.GetStock(get("c")))).reason == "PART_NOT_FOUND"


async def test_a_part_is_sold_right_after_it_was_published(content: Content, inventory: Running) -> None:
    await stocked(inventory, "a", 500)
    await applied(inventory.dsn, await content.add("a", DRAFT))

    for _ in range(20):
        await content.become("a", PUBLISHED)
        assert (await inventory.public.GetStock(get("a"))).stock.in_stock
        await content.become("a", DRAFT)  # perhaps not applied yet when it is published again
        await content.become("a", PUBLISHED)
        line = reservation_pb2.ReservationLine(part_id="a", quantity=1)
        await inventory.public.CreateReservation(pb.CreateReservationRequest(lines=[line], owner_key=str(uuid.uuid4())))
        await content.become("a", DRAFT)


async def test_a_read_that_brings_the_token_of_an_archived_part_does_not_see_it(
    content: Content, inventory: Running
) -> None:
    await stocked(inventory, "a")
    await applied(inventory.dsn, await content.add("a", PUBLISHED))

    for _ in range(20):
        hidden = await content.become("a", ARCHIVED)
        assert (await refusal(inventory.public.GetStock(get("a", hidden)))).reason == "PART_NOT_FOUND"
        shown = await content.become("a", PUBLISHED)
        assert (await inventory.public.GetStock(get("a", shown))).stock.available == 5


async def test_without_the_content_service_what_was_known_last_holds(content: Content, inventory: Running) -> None:
    for part_id, status in (("a", PUBLISHED), ("b", DRAFT)):
        await stocked(inventory, part_id)
        token = await content.add(part_id, status)
    await applied(inventory.dsn, token)
    await content.stop()

    assert (await inventory.public.GetStock(get("a"))).stock.available == 5
    assert (await refusal(inventory.public.GetStock(get("b")))).reason == "PART_NOT_FOUND"

    await content.start()
    await applied(inventory.dsn, await content.become("b", PUBLISHED))
    assert (await inventory.public.GetStock(get("b"))).stock.available == 5


async def test_another_history_replaces_what_was_known(
    content: Content, following: None, inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("changelog.follower.RESYNC_SPREAD_SECONDS", 0.05)
    token = await content.add("a", PUBLISHED)
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO part_visibility VALUES ('gone', true, 9), ('a', false, 900)")
        connection.execute("INSERT INTO part_visibility_position (epoch, revision) VALUES (gen_random_uuid(), 900)")

    async with services.running(inventory_dsn, tmp_path) as inventory:
        await applied(inventory_dsn, token)

        assert inventory.sql("SELECT part_id, published FROM part_visibility") == [("a", True)]


async def test_an_older_word_changes_nothing(inventory_dsn: str) -> None:
    database = await Database.open(inventory_dsn, application_name="test", max_size=1)
    store = VisibilityStore(database)

    await store.upsert({"a": True}, 5)
    await store.upsert({"a": False}, 4)
    assert await store.published(["a"]) == {"a"}
    await store.upsert({"a": False}, 6)
    await store.upsert({"a": True}, 5)
    assert await store.published(["a"]) == frozenset()
    await database.close()


def test_parts_are_asked_for_within_the_contract() -> None:
    rule = part_service_pb2.BatchGetPartsRequest.DESCRIPTOR.fields_by_name["part_ids"].GetOptions()

    assert f"max_items: {publication.MAX_QUERIED}" in str(rule)
