"""Register followers, and hold retention back only for those that report."""

from chassis.migrate import sql_migration

ID = "2026-11-28T22:00:00:000007"
VERSION = "1.38.0"
DESCRIPTION = "Register followers, and hold retention back only for those that report"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
