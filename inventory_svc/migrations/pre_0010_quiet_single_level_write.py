"""Write one change of one level without an error for a repeated request."""

from chassis.migrate import sql_migration

ID = "2026-11-29T00:00:00:000011"
VERSION = "1.38.0"
DESCRIPTION = "Write one change of one level without an error for a repeated request"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
