"""The first schema: tables, rules, triggers and the change log."""

from __future__ import annotations

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from chassis.changes.schema import CHANGE_LOG
from chassis.migrate import run_script
from content_svc.sql.schema_category import CATEGORY
from content_svc.sql.schema_context import CONTEXT
from content_svc.sql.schema_part import PART
from content_svc.sql.schema_tables import TABLES

ID = "2026-11-22T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "parts, categories, pictures, versions and the change log"


async def forwards() -> MigrationManager:
    """Create everything."""
    manager = MigrationManager(migration_id=ID, app_name="content", description=DESCRIPTION)

    async def create() -> None:
        for script in (CHANGE_LOG, *TABLES, *CONTEXT, *CATEGORY, *PART):
            await run_script(script)

    manager.add_raw(create)
    return manager
