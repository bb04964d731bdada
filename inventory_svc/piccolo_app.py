"""Piccolo's view of the inventory database: its tables and migrations."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from inventory_svc.tables import TABLES

APP_CONFIG = AppConfig(
    app_name="inventory_svc",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=list(TABLES),
    migration_dependencies=[],
    commands=[],
)
