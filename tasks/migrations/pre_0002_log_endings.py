"""Where the epochs of a log ended."""

from chassis.migrate import scripts
from tasks.audit.endings import LOG_ENDINGS

ID = "2026-11-29T00:40:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "where the epochs of a log ended"

forwards = scripts(ID, "tasks", DESCRIPTION, LOG_ENDINGS)
