"""The service's border: one short method per RPC, by noun."""

from __future__ import annotations

from inventory_svc.servicer.ledger import Ledger
from inventory_svc.servicer.locations import Locations
from inventory_svc.servicer.reservations import Reservations
from inventory_svc.servicer.stock import StockReads, StockWrites
from inventory_svc.servicer.streams import Streams
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceServicer


class InventoryServicer(  # type: ignore[misc] # WatchStock hands over bytes that were serialised once for all
    StockReads, StockWrites, Reservations, Ledger, Locations, Streams, InventoryServiceServicer
):
    """Every method of the contract."""
