"""Reject entries and versions that no commit wrote, pin the schema of triggers, and compare rows with both."""

from chassis.migrate import sql_migration

ID = "2026-11-22T19:10:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Reject entries and versions that no commit wrote, pin the schema of triggers, and compare rows with both"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
