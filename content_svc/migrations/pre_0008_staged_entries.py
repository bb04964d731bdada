"""Entries of raw SQL are prepared before the log's lock is taken."""

from changelog.guard_schema import PIN_TRIGGERS
from changelog.staging_schema import STAGED_ENTRIES
from chassis.migrate import scripts

ID = "2026-11-29T00:10:00:000008"
VERSION = "1.38.0"
DESCRIPTION = "entries of raw SQL are prepared before the log's lock is taken"

forwards = scripts(ID, "content", DESCRIPTION, STAGED_ENTRIES, PIN_TRIGGERS)
