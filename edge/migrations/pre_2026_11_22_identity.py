"""Users, sessions, refresh tokens, login attempts and security events."""

from chassis.migrate import scripts
from edge.identity.schema import IDENTITY

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Identity"

forwards = scripts(ID, "edge", DESCRIPTION, IDENTITY)
