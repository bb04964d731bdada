"""A restore under a running service: nobody mixes the histories, and a log that is not whole is not put in place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
from psycopg import sql

from changelog import cursor as cursors
from changelog import follower as following
from changelog.follower import Follower
from changelog.sources import StockSource
from chassis.channels import open_channel
from chassis.rich_status import from_rpc_error
from chassis.tokens import ServiceToken, SigningKey
from inventory_svc.app import start
from inventory_svc.settings import Settings
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack.errors import CopyFailed
from stack.servers.database_copies import dump, restore
from tests.chaos.stream.properties import check_state, read_levels
from tests.chaos.stream.recorders import StateSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.harness.servers import TestServers

INSERT = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES (%s, 'main', %s)"


@pytest.fixture
def kept(servers: TestServers) -> Iterator[list[str]]:
    """Names of databases that a restore left aside; dropped when the test is over."""
    names: list[str] = []
    yield names
    with psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
        for name in names:
            admin.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(name=sql.Identifier(name)))


class Client:
    """Calls a service, and follows it."""

    def __init__(self, port: int, key: SigningKey) -> None:
        self.channel = open_channel([f"127.0.0.1:{port}"], token=ServiceToken(key, "test"))
        self.stub: Any = InventoryServiceStub(self.channel)
        self.state = StateSink()
        self.follower = Follower(StockSource(self.channel), self.state, bookmark_seconds=0.3)

    async def set(self, part_id: str, on_hand: int) -> cursors.Position:
        """Set a level, as often as it takes; where its commit stands."""
        request = pb.SetStockRequest(
            request_id=str(uuid.uuid4()), part_id=part_id, on_hand=on_hand, unconditional=True, allow_missing=True
        )
        async with asyncio.timeout(30):
            while True:
                try:
                    response = await self.stub.SetStock(request, timeout=5)
                except grpc.aio.AioRpcError as error:
                    if from_rpc_error(error).reason != "STORE_UNAVAILABLE":
                        raise
                    await asyncio.sleep(0.02)
                else:
                    return position(response.revision_token)


def position(token: str) -> cursors.Position:
    found = cursors.position_in(token, "inventory")
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[Client]:
    key = SigningKey.generate()
    (folder / "jwks.json").write_text(json.dumps(key.jwks()))
    app = await start(Settings(database_url=dsn, jwks=str(folder / "jwks.json"), port=0, revocation_targets=None))
    client = Client(app.server.port, key)
    client.follower.start()
    try:
        yield client
    finally:
        await client.follower.stop()
        await client.channel.close()
        await app.stop()


async def test_a_restore_under_a_running_service_does_not_mix_two_histories(
    inventory_dsn: str, servers: TestServers, tmp_path: Path, kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RESYNC_SPREAD_SECONDS", 0.05)
    file = tmp_path / "inventory.dump"
    async with serving(inventory_dsn, tmp_path) as client:
        for number in range(5):
            before = await client.set(f"part-{number}", 10)
        await asyncio.to_thread(dump, inventory_dsn, file)
        for number in range(8):
            lost = await client.set(f"part-{number}", 99)
        await client.follower.reached(lost, 30)
        done = await asyncio.to_thread(restore, servers.admin_dsn, inventory_dsn, file)
        kept.append(done.kept_as)
        after = await client.set("part-0", 11)

        assert (str(after.epoch), after.revision) == (done.epoch, before.revision + 1)
        await client.follower.reached(after, 30)
        head, levels = await read_levels(inventory_dsn)
        assert head == after
        assert {key[0] for key in levels} == {f"part-{number}" for number in range(5)}
        check_state(client.state, levels)
        assert set(client.state.levels) == set(levels)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.GetStock(
                pb.GetStockRequest(part_id="part-0", min_revision_token=cursors.encode(lost)), timeout=5
            )
        assert from_rpc_error(refused.value).reason == "EPOCH_CHANGED"


async def test_a_backup_whose_log_is_not_whole_is_refused_and_nothing_is_touched(
    inventory_dsn: str, servers: TestServers, tmp_path: Path
) -> None:
    file = tmp_path / "inventory.dump"
    with psycopg.connect(inventory_dsn, autocommit=True) as owner:
        owner.execute(INSERT, ("a", 1))
        owner.execute(INSERT, ("b", 1))
        owner.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")
        owner.execute("UPDATE change_log SET actor_name = 'nobody' WHERE revision = 2")
    dump(inventory_dsn, file)

    with pytest.raises(CopyFailed, match="revision 2"):
        await asyncio.to_thread(restore, servers.admin_dsn, inventory_dsn, file)

    with psycopg.connect(inventory_dsn, autocommit=True) as owner:
        assert owner.execute("SELECT count(*) FROM stock_level").fetchone() == (2,)


def test_a_file_that_is_no_backup_is_refused(inventory_dsn: str, servers: TestServers, tmp_path: Path) -> None:
    file = tmp_path / "inventory.dump"
    file.write_text("something else")

    with pytest.raises(CopyFailed, match="pg_restore"):
        restore(servers.admin_dsn, inventory_dsn, file)
