"""What Piccolo's migrations need to know of the audit database."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from tasks.audit.tables import DataChangeLog

APP_CONFIG = AppConfig(
    app_name="tasks",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=[DataChangeLog],
    migration_dependencies=[],
    commands=[],
)
