"""Claims by principal, and hashed keys of guest carts."""

from chassis.migrate import scripts
from inventory_svc.sql.schema_guest_writer import GUEST_WRITER
from inventory_svc.sql.schema_guests import GUESTS

ID = "2026-11-28T21:30:00:000007"
VERSION = "1.38.0"
DESCRIPTION = "claims by principal, and hashed keys of guest carts"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, *GUESTS, *GUEST_WRITER)
