"""Users, sessions, refresh tokens, login attempts and security events."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.migrate import run_script
from edge.identity.schema import IDENTITY

ID = "2026-11-22T10:00:00"
VERSION = "1.38.0"
DESCRIPTION = "Identity"


async def forwards() -> MigrationManager:
    """Create the tables."""
    manager = MigrationManager(migration_id=ID, app_name="edge", description=DESCRIPTION)

    async def create() -> None:
        await run_script(IDENTITY)

    manager.add_raw(create)
    return manager
