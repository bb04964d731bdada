"""The function that reads back what a transaction wrote to the log."""

from changelog.handoff import WRITTEN
from chassis.migrate import scripts

ID = "2026-11-22T19:40:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "the function that reads back what a transaction wrote to the log"

forwards = scripts(ID, "content", DESCRIPTION, WRITTEN)
