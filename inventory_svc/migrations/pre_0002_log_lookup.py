"""Entries of the log are found by what they are about. Nobody writes meanwhile: a second for 300,000 entries."""

from changelog.lookup_schema import CHANGE_LOG_LOOKUP
from chassis.migrate import scripts

ID = "2026-11-22T15:40:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "an index of the log by entity, and a search through it"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, CHANGE_LOG_LOOKUP)
