"""Security events of a minute are one row that counts, texts are short, old events expire."""

from chassis.migrate import scripts
from edge.identity.event_schema import EVENT_BOUNDS

ID = "2026-11-29T10:00:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "Bounds of security events"

forwards = scripts(ID, "edge", DESCRIPTION, EVENT_BOUNDS)
