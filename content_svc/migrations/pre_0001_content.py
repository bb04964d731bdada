"""Create the change log, the tables, their rules and the triggers of categories and parts."""

from chassis.migrate import sql_migration

ID = "2026-11-22T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Create the change log, the tables, their rules and the triggers of categories and parts"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
