"""The audit trail: partitioned by month, append-only."""

from chassis.migrate import scripts
from tasks.audit.schema import AUDIT_TRAIL

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Audit trail"

forwards = scripts(ID, "tasks", DESCRIPTION, AUDIT_TRAIL)
