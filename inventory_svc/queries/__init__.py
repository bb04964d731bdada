"""Reads. Each returns rows and the revision they are as of, from one snapshot."""

from __future__ import annotations

from inventory_svc.queries.ledger import LedgerQueries
from inventory_svc.queries.reservations import ReservationQueries
from inventory_svc.queries.stock import StockQueries


class Queries(StockQueries, LedgerQueries, ReservationQueries):
    """Every read of the service."""
