"""What the service reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from chassis.settings import choice, days, dsn, file, port, positive_int, setting, targets, text


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """For ``migrate``."""

    database_url: str = setting(
        "PARTSTREAM_INVENTORY_DATABASE_URL", dsn, help="the inventory database, postgresql://role:password@host:port/db"
    )
    log_format: str = setting(
        "PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="how log lines look"
    )
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="what is logged"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MigrateSettings):
    """For ``serve``."""

    jwks: str = setting("PARTSTREAM_JWKS", text, help="keys that tokens are checked with: a JWKS file or its address")
    content_targets: tuple[str, ...] = setting(
        "PARTSTREAM_CONTENT_TARGETS",
        targets,
        default=(),
        help="content replicas, host:port, comma-separated: they say which parts are published",
    )
    signing_key_file: Path | None = setting(
        "PARTSTREAM_SIGNING_KEY_FILE",
        file,
        default=None,
        help="key that signs the token for content replicas",
    )
    host: str = setting("PARTSTREAM_HOST", text, default="127.0.0.1", help="the address to listen on")
    port: int = setting("PARTSTREAM_INVENTORY_PORT", port, default=50051, help="the port of this replica")
    pool_size: int = setting(
        "PARTSTREAM_INVENTORY_POOL_SIZE", positive_int, default=10, help="connections to the database at most"
    )
    log_keep_for: timedelta = setting(
        "PARTSTREAM_LOG_KEEP_DAYS", days, default=timedelta(days=90), help="days that the change log is kept"
    )
    log_keep_bytes: int = setting(
        "PARTSTREAM_LOG_KEEP_BYTES", positive_int, default=50 * 1024**3, help="bytes that the change log may take"
    )
    log_window_bytes: int = setting(
        "PARTSTREAM_LOG_WINDOW_BYTES",
        positive_int,
        default=64 * 1024**2,
        help="bytes of the newest log entries kept in memory for watchers",
    )
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), default="none", help="where traces go"
    )
