"""The function that writes a lone change; the general ones stay."""

from chassis.migrate import scripts
from inventory_svc.sql.schema_lone import LONE

ID = "2026-11-22T16:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "the function that writes a lone change"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, *LONE)
