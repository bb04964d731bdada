"""Keep one enabled administrator, roles that are a set, and user names that differ in more than case."""

from chassis.migrate import sql_migration

ID = "2026-11-28T14:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Keep one enabled administrator, roles that are a set, and user names that differ in more than case"

forwards = sql_migration(__file__, ID, "edge", DESCRIPTION)
