"""The function that writes a lone change without an error for a repeated request; the one before stays."""

from chassis.migrate import scripts
from inventory_svc.sql.schema_quiet_lone import QUIET_LONE

ID = "2026-11-29T00:00:00:000011"
VERSION = "1.38.0"
DESCRIPTION = "a repeated request raises no error in the database"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, *QUIET_LONE)
