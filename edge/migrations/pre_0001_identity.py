"""Create users, sessions, refresh tokens, sign-in attempts and security events."""

from chassis.migrate import sql_migration

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Create users, sessions, refresh tokens, sign-in attempts and security events"

forwards = sql_migration(__file__, ID, "edge", DESCRIPTION)
