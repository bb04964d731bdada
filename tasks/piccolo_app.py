"""The audit database's tables and migrations, for Piccolo."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from tasks.audit.tables import DataChangeLog

APP_CONFIG = AppConfig(
    app_name="tasks",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=[DataChangeLog],
)
