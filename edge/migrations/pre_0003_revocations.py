"""Record a revocation with every change that ends a session or reduces what a user may do."""

from chassis.migrate import sql_migration

ID = "2026-11-28T22:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Record a revocation with every change that ends a session or reduces what a user may do"

forwards = sql_migration(__file__, ID, "edge", DESCRIPTION)
