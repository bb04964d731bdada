"""Rules of accounts that the database keeps: an administrator stays, roles are a set, one folding of names."""

from chassis.migrate import scripts
from edge.identity.schema import ACCOUNT_RULES

ID = "2026-11-28T14:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "an administrator stays, roles are a set, one folding of names, purposes of attempts"

forwards = scripts(ID, "edge", DESCRIPTION, ACCOUNT_RULES)
