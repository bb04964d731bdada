"""Tables, guards, change log and the writer's functions."""

from changelog.schema import CHANGE_LOG
from chassis.migrate import scripts
from inventory_svc.sql.schema_guards import GUARDS
from inventory_svc.sql.schema_log import LOGGING
from inventory_svc.sql.schema_tables import MAIN_LOCATION, TABLES
from inventory_svc.sql.schema_writer import WRITER

ID = "2026-11-22T12:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "tables, guards, change log and the writer's functions"

forwards = scripts(ID, "inventory_svc", DESCRIPTION, CHANGE_LOG, *TABLES, *GUARDS, *LOGGING, *WRITER, MAIN_LOCATION)
