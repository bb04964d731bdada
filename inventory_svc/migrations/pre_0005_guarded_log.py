"""Only commits write the log, under this schema's names; rows can be held against it."""

from changelog.guard_schema import LOG_GUARDS, PIN_TRIGGERS
from chassis.migrate import scripts
from inventory_svc.sql.schema_check import CHECKS

ID = "2026-11-22T19:10:00:000005"
VERSION = "1.38.0"
DESCRIPTION = "only commits write the log, and rows can be held against it"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, LOG_GUARDS, *CHECKS, PIN_TRIGGERS)
