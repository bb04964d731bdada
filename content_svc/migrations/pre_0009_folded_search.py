"""Fold Unicode forms in the search."""

from chassis.migrate import sql_migration

ID = "2026-11-29T00:30:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "Fold Unicode forms in the search"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
