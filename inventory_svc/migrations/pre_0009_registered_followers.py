"""Followers are registered, and hold retention only while they report."""

from changelog.follower_schema import REGISTERED_FOLLOWERS
from chassis.migrate import scripts

ID = "2026-11-28T22:00:00:000009"
VERSION = "1.38.0"
DESCRIPTION = "followers are registered, and hold retention only while they report"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, REGISTERED_FOLLOWERS)
