"""Entries of the log are found by what they are about."""

from __future__ import annotations

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.changes.lookup_schema import CHANGE_LOG_LOOKUP
from chassis.migrate import run_script

ID = "2026-11-22T15:40:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "an index of the log by entity, and a search through it"


async def forwards() -> MigrationManager:
    """Build the index; nobody writes meanwhile: a second for 300,000 entries."""
    manager = MigrationManager(migration_id=ID, app_name="inventory_svc", description=DESCRIPTION)

    async def create() -> None:
        await run_script(CHANGE_LOG_LOOKUP)

    manager.add_raw(create)
    return manager
