"""The edge's tables and migrations, for Piccolo."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from edge.identity.tables import TABLES

APP_CONFIG = AppConfig(
    app_name="edge",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=list(TABLES),
)
