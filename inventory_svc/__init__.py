"""The inventory service: stock levels, their ledger, reservations and locations."""
