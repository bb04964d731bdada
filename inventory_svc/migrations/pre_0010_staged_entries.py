"""Entries of raw SQL are prepared before the log's lock is taken."""

from changelog.guard_schema import PIN_TRIGGERS
from changelog.staging_schema import STAGED_ENTRIES
from chassis.migrate import scripts
from inventory_svc.sql.schema_staged_log import STAGED_LOGGING

ID = "2026-11-29T00:10:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "entries of raw SQL are prepared before the log's lock is taken"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, STAGED_ENTRIES, *STAGED_LOGGING, PIN_TRIGGERS)
