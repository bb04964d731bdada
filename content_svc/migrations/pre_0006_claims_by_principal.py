"""Store claims of request ids by principal."""

from chassis.migrate import sql_migration

ID = "2026-11-28T21:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Store claims of request ids by principal"

forwards = sql_migration(__file__, ID, "content", DESCRIPTION)
