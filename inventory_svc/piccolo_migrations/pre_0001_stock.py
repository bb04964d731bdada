"""Tables, guards, change log and the writer's functions."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.changes.schema import CHANGE_LOG
from chassis.migrate import run_script
from inventory_svc.sql.schema_guards import GUARDS
from inventory_svc.sql.schema_log import LOGGING
from inventory_svc.sql.schema_tables import MAIN_LOCATION, TABLES
from inventory_svc.sql.schema_writer import WRITER

ID = "2026-11-22T12:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "tables, guards, change log and the writer's functions"


async def forwards() -> MigrationManager:
    """Create everything."""
    manager = MigrationManager(migration_id=ID, app_name="inventory_svc", description=DESCRIPTION)

    async def create() -> None:
        for script in (CHANGE_LOG, *TABLES, *GUARDS, *LOGGING, *WRITER, MAIN_LOCATION):
            await run_script(script)

    manager.add_raw(create)
    return manager
