"""Revocations, written by the database with whatever ends a session or changes what a user may do."""

from chassis.migrate import scripts
from edge.identity.revocation_schema import REVOCATIONS

ID = "2026-11-28T22:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Revocations"

forwards = scripts(ID, "edge", DESCRIPTION, REVOCATIONS)
