"""Index the log by entity, and search it."""

from chassis.migrate import sql_migration

ID = "2026-11-22T15:40:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Index the log by entity, and search it"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
