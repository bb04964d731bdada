"""A change made outside the service wakes the replicas at its commit."""

from changelog.announce_schema import ANNOUNCE_RAW_SQL
from chassis.migrate import scripts

ID = "2026-11-22T21:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "a change made outside the service is announced at its commit"

forwards = scripts(ID, "content", DESCRIPTION, ANNOUNCE_RAW_SQL)
