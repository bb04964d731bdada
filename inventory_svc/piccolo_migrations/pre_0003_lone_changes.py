"""The function that writes a lone change."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.migrate import run_script
from inventory_svc.sql.schema_lone import LONE

ID = "2026-11-22T16:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "the function that writes a lone change"


async def forwards() -> MigrationManager:
    """Add the function; the general ones stay."""
    manager = MigrationManager(migration_id=ID, app_name="inventory_svc", description=DESCRIPTION)

    async def create() -> None:
        for script in LONE:
            await run_script(script)

    manager.add_raw(create)
    return manager
