"""The Piccolo app of this service: its tables and migrations."""

from __future__ import annotations

from pathlib import Path

from piccolo.conf.apps import AppConfig

from content_svc.tables import TABLES

APP_CONFIG = AppConfig(
    app_name="content",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=list(TABLES),
)
