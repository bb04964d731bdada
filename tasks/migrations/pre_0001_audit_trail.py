"""Create the audit trail."""

from chassis.migrate import sql_migration

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Create the audit trail"

forwards = sql_migration(__file__, ID, "tasks", DESCRIPTION)
