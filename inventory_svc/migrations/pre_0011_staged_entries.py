"""Prepare the entries of raw SQL before the lock of the log is taken."""

from chassis.migrate import sql_migration

ID = "2026-11-29T00:10:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "Prepare the entries of raw SQL before the lock of the log is taken"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
