"""Read back the entries that a transaction has written to the log."""

from chassis.migrate import sql_migration

ID = "2026-11-22T19:40:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Read back the entries that a transaction has written to the log"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
