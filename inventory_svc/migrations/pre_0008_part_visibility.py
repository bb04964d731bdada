"""Store which parts are published, as the content service reports it."""

from chassis.migrate import sql_migration

ID = "2026-11-28T21:45:00:000008"
VERSION = "1.38.0"
DESCRIPTION = "Store which parts are published, as the content service reports it"

forwards = sql_migration(__file__, ID, "inventory_svc", DESCRIPTION)
