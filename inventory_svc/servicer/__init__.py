"""The gRPC methods of the service: one short method per RPC, in one module per resource."""

from __future__ import annotations

from inventory_svc.servicer.ledger import Ledger
from inventory_svc.servicer.locations import Locations
from inventory_svc.servicer.reservations import Reservations
from inventory_svc.servicer.stock import StockReads, StockWrites
from inventory_svc.servicer.streams import Streams
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceServicer


class InventoryServicer(  # type: ignore[misc] # WatchStock yields bytes that are serialised once for all
    StockReads, StockWrites, Reservations, Ledger, Locations, Streams, InventoryServiceServicer
):
    """Every method of ``InventoryService``."""
