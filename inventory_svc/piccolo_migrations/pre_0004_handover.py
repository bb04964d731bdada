"""The function that reads back what a transaction wrote to the log."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.changes.handover import WRITTEN
from chassis.migrate import run_script

ID = "2026-11-22T16:45:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "the function that reads back what a transaction wrote to the log"


async def forwards() -> MigrationManager:
    """Add the function."""
    manager = MigrationManager(migration_id=ID, app_name="inventory_svc", description=DESCRIPTION)

    async def create() -> None:
        await run_script(WRITTEN)

    manager.add_raw(create)
    return manager
