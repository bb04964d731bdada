"""Store alerts."""

from chassis.migrate import sql_migration

ID = "2026-12-04T10:00:00:000005"
VERSION = "1.38.0"
DESCRIPTION = "Store alerts"

forwards = sql_migration(__file__, ID, "edge", DESCRIPTION)
