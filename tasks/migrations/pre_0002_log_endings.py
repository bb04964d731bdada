"""Record where the epochs of a log ended."""

from chassis.migrate import sql_migration

ID = "2026-11-29T00:40:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "Record where the epochs of a log ended"

forwards = sql_migration(__file__, ID, "tasks", DESCRIPTION)
