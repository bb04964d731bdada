"""Count equal security events of a minute in one row, bound their texts, and expire old ones."""

from chassis.migrate import sql_migration

ID = "2026-11-29T10:00:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "Count equal security events of a minute in one row, bound their texts, and expire old ones"

forwards = sql_migration(__file__, ID, "edge", DESCRIPTION)
