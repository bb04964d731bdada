"""Read back the entries that a transaction has written to the log."""

from chassis.migrate import sql_migration

ID = "2026-11-22T16:45:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "Read back the entries that a transaction has written to the log"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
