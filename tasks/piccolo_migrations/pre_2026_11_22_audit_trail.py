"""The audit trail: partitioned by month, append-only."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.migrate import run_script
from tasks.audit.schema import AUDIT_TRAIL

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Audit trail"


async def forwards() -> MigrationManager:
    """Create the trail."""
    manager = MigrationManager(migration_id=ID, app_name="tasks", description=DESCRIPTION)

    async def create() -> None:
        await run_script(AUDIT_TRAIL)

    manager.add_raw(create)
    return manager
