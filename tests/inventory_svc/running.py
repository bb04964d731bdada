"""A running inventory service: the real app on a real database, called over real gRPC."""

from __future__ import annotations

import itertools
import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import psycopg

from chassis.channels import open_channel
from chassis.errors import PartstreamError
from chassis.process_keys import entry
from chassis.rich_status import from_rpc_error
from chassis.tokens import SERVICE_PERMISSIONS, ServiceToken, SigningKey
from inventory_svc.app import App, start
from inventory_svc.settings import Settings
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.inventory.v1 import stock_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.harness.no_limits import without_rates
from tests.harness.published_parts import publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceAsyncStub
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

ADMIN_ID = "00000000-0000-4000-8000-000000000001"
_numbers = itertools.count(1)


class Running:
    """A service with a client of the staff and an anonymous client."""

    def __init__(self, app: App, dsn: str, key: SigningKey, edge: SigningKey) -> None:
        self.app = app
        self.dsn = dsn
        self.key = key
        self.by_edge = (("partstream-process", ServiceToken(edge, "edge")()),)  # metadata of calls made by an edge
        self._channels: list[grpc.aio.Channel] = []
        self.staff = self.client("admin", ADMIN_ID, SERVICE_PERMISSIONS)
        self.public = self.client()

    def client(
        self, name: str = "", user_id: str = ADMIN_ID, permissions: frozenset[str] = frozenset()
    ) -> InventoryServiceAsyncStub:
        """Return a client with its own token; without a name, an anonymous client."""
        token = self.key.mint(subject=user_id, name=name, permissions=permissions)
        channel = open_channel([f"127.0.0.1:{self.app.server.port}"], token=(lambda: token) if name else None)
        self._channels.append(channel)
        stub: Any = InventoryServiceStub(channel)
        typed: InventoryServiceAsyncStub = stub
        return typed

    def log_client(self) -> ChangeLogServiceAsyncStub:
        """Return a client of the operators' view of the change log."""
        token = self.key.mint(subject=ADMIN_ID, name="auditor", permissions=["changes:read", "stock:read"])
        channel = open_channel([f"127.0.0.1:{self.app.server.port}"], token=lambda: token)
        self._channels.append(channel)
        stub: Any = ChangeLogServiceStub(channel)
        typed: ChangeLogServiceAsyncStub = stub
        return typed

    def token(self) -> str:
        """Return the access token of the staff."""
        return self.key.mint(subject=ADMIN_ID, name="admin", permissions=SERVICE_PERMISSIONS)

    async def have(self, on_hand: int, location_id: str = "main", part_id: str = "") -> str:
        """A published part with so many units; answers its id."""
        part_id = part_id or f"part-{next(_numbers)}"
        await self.staff.SetStock(
            pb.SetStockRequest(part_id=part_id, location_id=location_id, on_hand=on_hand, expected_version=0)
        )
        publish(self.dsn, part_id)
        return part_id

    async def level(self, part_id: str, location_id: str = "main") -> stock_pb2.StockLevel:
        """Return the level with all fields."""
        response = await self.staff.GetStock(pb.GetStockRequest(part_id=part_id))
        return next(item for item in response.stock.levels if item.location_id == location_id)

    def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Run SQL as the database role, as an operator at a SQL shell."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def check_books(self) -> None:
        """Check the invariants of the database, which hold after any test."""
        check_books(self.dsn)

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            await channel.close()


# Guests without limits, for tests of everything else.
NO_LIMITS: dict[str, Any] = {
    "limits": without_rates("open_reservations_per_address=100000,reservation_share=1.0"),
    "guest_open_reservations": 100_000,
}


@asynccontextmanager
async def running(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """Run the service until the block ends; without settings, guests have no limits."""
    key = SigningKey.generate()
    jwks = folder / f"jwks-{uuid.uuid4().hex}.json"
    jwks.write_text(json.dumps(key.jwks()))
    edge, processes = SigningKey.generate(), folder / f"processes-{uuid.uuid4().hex}.json"
    processes.write_text(json.dumps({"keys": [entry(edge.jwk, "edge")]}))
    app = await start(
        Settings(
            database_url=dsn,
            jwks=str(jwks),
            process_keys=str(processes),
            port=0,
            revocation_targets=None,
            **({"limits": without_rates(), **settings} if settings else NO_LIMITS),
        )
    )
    service = Running(app, dsn, key, edge)
    try:
        yield service
    finally:
        await service.close()
        await app.stop()


async def refusal(call: Awaitable[Any]) -> PartstreamError:
    """Return the error of a rejected call."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    message = f"The call was expected to be refused, but answered {response}"
    raise AssertionError(message)


# Levels whose ledger does not add up to them, or whose versions have holes.
WRONG_LEVELS = """
SELECT s.part_id, s.location_id FROM stock_level s
LEFT JOIN (SELECT part_id, location_id, count(*) AS movements, max(version) AS last, sum(on_hand_delta) AS on_hand,
                  sum(reserved_delta) AS reserved FROM stock_movement GROUP BY part_id, location_id) m
     USING (part_id, location_id)
WHERE (m.movements, m.last, m.on_hand, m.reserved) IS DISTINCT FROM (s.version, s.version, s.on_hand, s.reserved)
"""

# Levels that hold more or less than the reservations say.
WRONG_HOLDS = """
SELECT s.part_id, s.location_id FROM stock_level s
LEFT JOIN (SELECT l.part_id, l.location_id, sum(l.quantity) AS held FROM reservation_line l
           JOIN reservation r USING (reservation_id) WHERE r.state = 'held' GROUP BY l.part_id, l.location_id) h
     USING (part_id, location_id)
WHERE coalesce(h.held, 0) <> s.reserved
"""

# Levels whose newest log entry is not their state.
UNLOGGED_LEVELS = """
SELECT s.part_id FROM stock_level s
LEFT JOIN LATERAL (SELECT l.after FROM change_log l
                   WHERE l.entity = 'stock_level' AND l.entity_id = s.part_id || '/' || s.location_id
                   ORDER BY l.revision DESC LIMIT 1) l ON true
WHERE l.after IS DISTINCT FROM to_jsonb(s)
"""

# Movements that are in no log entry, or in two.
UNLOGGED_MOVEMENTS = """
SELECT m.part_id, m.version FROM stock_movement m
LEFT JOIN (SELECT v->>'part_id' AS part_id, v->>'location_id' AS location_id, (v->>'version')::bigint AS version,
                  count(*) AS times
           FROM change_log l, jsonb_array_elements(l.details->'movements') v WHERE l.entity = 'stock_level'
           GROUP BY 1, 2, 3) e USING (part_id, location_id, version)
WHERE e.times IS DISTINCT FROM 1
"""

# Holes in the log.
GAPS = "SELECT count(*) FROM change_log HAVING count(*) <> max(revision) OR min(revision) <> 1"


def check_books(dsn: str) -> None:
    """Check that ledger, balances, reservations and change log agree."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for query in (WRONG_LEVELS, WRONG_HOLDS, UNLOGGED_LEVELS, UNLOGGED_MOVEMENTS, GAPS):
            assert connection.execute(query).fetchall() == [], query
