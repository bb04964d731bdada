"""Notify the replicas of a change made outside the service, in its own transaction."""

from chassis.migrate import sql_migration

ID = "2026-11-22T21:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Notify the replicas of a change made outside the service, in its own transaction"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
