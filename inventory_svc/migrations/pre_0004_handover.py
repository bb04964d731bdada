"""The function that reads back what a transaction wrote to the log."""

from changelog.handoff import WRITTEN
from chassis.migrate import scripts

ID = "2026-11-22T16:45:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "the function that reads back what a transaction wrote to the log"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, WRITTEN)
