"""Which parts are published: what public calls may see and reserve."""

from chassis.migrate import scripts
from inventory_svc.sql.schema_visibility import PART_VISIBILITY

ID = "2026-11-28T21:45:00:000008"
VERSION = "1.38.0"
DESCRIPTION = "which parts are published, kept by a follower of the content log"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, PART_VISIBILITY)
