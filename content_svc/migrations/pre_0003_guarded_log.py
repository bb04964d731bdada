"""Only commits write the log and versions, under this schema's names; rows can be held against both."""

from changelog.guard_schema import LOG_GUARDS, PIN_TRIGGERS
from chassis.migrate import scripts
from content_svc.sql.schema_check import CHECKS

ID = "2026-11-22T19:10:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "only commits write the log and versions, and rows can be held against both"

forwards = scripts(ID, "content", DESCRIPTION, LOG_GUARDS, *CHECKS, PIN_TRIGGERS)
