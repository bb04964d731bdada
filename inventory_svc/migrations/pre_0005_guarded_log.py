"""Reject entries that no commit wrote, pin the schema of triggers, and compare rows with the log."""

from chassis.migrate import sql_migration

ID = "2026-11-22T19:10:00:000005"
VERSION = "1.38.0"
DESCRIPTION = "Reject entries that no commit wrote, pin the schema of triggers, and compare rows with the log"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
