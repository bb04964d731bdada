"""Settings of the content service."""

from __future__ import annotations

from dataclasses import dataclass

from changelog.service_settings import LogLineSettings, ServiceSettings
from chassis.settings import dsn, port, positive_int, setting


@dataclass(frozen=True, kw_only=True)
class MigrateSettings(LogLineSettings):
    """For ``migrate``."""

    database_url: str = setting(
        "PARTSTREAM_CONTENT_DATABASE_URL", dsn, help="the content database, postgresql://role:password@host:port/db"
    )


@dataclass(frozen=True, kw_only=True)
class Settings(MigrateSettings, ServiceSettings):
    """For ``serve``."""

    port: int = setting("PARTSTREAM_CONTENT_PORT", port, default=50052, help="port of this replica")
    pool_size: int = setting(
        "PARTSTREAM_CONTENT_POOL_SIZE", positive_int, default=10, help="maximum number of connections to the database"
    )
