"""Write one change of one level in one statement."""

from chassis.migrate import sql_migration

ID = "2026-11-22T16:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Write one change of one level in one statement"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
