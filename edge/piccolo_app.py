"""What Piccolo's migrations need to know of the edge's database."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from edge.identity.tables import LoginAttempt, RefreshToken, SecurityEvent, Session, User

APP_CONFIG = AppConfig(
    app_name="edge",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=[User, Session, RefreshToken, LoginAttempt, SecurityEvent],
    migration_dependencies=[],
    commands=[],
)
