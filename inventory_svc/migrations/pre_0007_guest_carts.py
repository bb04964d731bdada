"""Store claims by principal, keys of guest carts as hashes, and the columns that bound guest carts."""

from chassis.migrate import sql_migration

ID = "2026-11-28T21:30:00:000007"
VERSION = "1.38.0"
DESCRIPTION = "Store claims by principal, keys of guest carts as hashes, and the columns that bound guest carts"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
