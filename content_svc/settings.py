"""What the service reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chassis.operations import OperationsSettings
from chassis.settings import choice, days, dsn, port, positive_int, setting, text
from chassis.tls import GrpcServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """For ``migrate``."""

    database_url: str = setting(
        "PARTSTREAM_CONTENT_DATABASE_URL", dsn, help="the content database, postgresql://role:password@host:port/db"
    )
    log_format: str = setting(
        "PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="how log lines look"
    )
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="what is logged"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MigrateSettings, GrpcServerSettings, OperationsSettings):
    """For ``serve``."""

    jwks: str = setting("PARTSTREAM_JWKS", text, help="keys that tokens are checked with: a JWKS file or its address")
    host: str = setting(
        "PARTSTREAM_GRPC_HOST",
        text,
        default="127.0.0.1",
        fallback="PARTSTREAM_HOST",
        help="the address to listen on; unset = PARTSTREAM_HOST",
    )
    port: int = setting("PARTSTREAM_CONTENT_PORT", port, default=50052, help="the port of this replica")
    pool_size: int = setting(
        "PARTSTREAM_CONTENT_POOL_SIZE", positive_int, default=10, help="connections to the database at most"
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
