"""Create the change log, the tables, their guards, the log triggers and the functions of the writer."""

from chassis.migrate import sql_migration

ID = "2026-11-22T12:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Create the change log, the tables, their guards, the log triggers and the functions of the writer"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
