"""What the service reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chassis.limits import LIMITS_HELP, Limits, limits
from chassis.operations import OperationsSettings
from chassis.settings import choice, days, dsn, file, port, positive_int, setting, targets_or_none, text
from chassis.tls import GrpcClientSettings, GrpcServerSettings

if TYPE_CHECKING:
    from pathlib import Path


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
class Settings(MigrateSettings, GrpcServerSettings, GrpcClientSettings, OperationsSettings):
    """For ``serve``."""

    jwks: str = setting("PARTSTREAM_JWKS", text, help="keys that tokens are checked with: a JWKS file or its address")
    process_keys: str = setting(
        "PARTSTREAM_PROCESS_KEYS",
        text,
        default="",
        help="keys that processes prove themselves with: a file or its address; unset = no process is known",
    )
    revocation_targets: tuple[str, ...] | None = setting(
        "PARTSTREAM_REVOCATION_TARGETS",
        targets_or_none,
        help="gRPC addresses of the edges, which say what is revoked, host:port, comma-separated; `none` = revoked "
        "tokens count until they expire",
    )
    credential_file: Path | None = setting(
        "PARTSTREAM_CREDENTIAL_FILE",
        file,
        default=None,
        help="PEM file of the private key that this process proves itself with",
    )
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
    follower_hold_for: timedelta = setting(
        "PARTSTREAM_FOLLOWER_HOLD_DAYS",
        days,
        default=timedelta(days=7),
        help="days that the change log is kept for a registered follower that no longer reports",
    )
    log_window_bytes: int = setting(
        "PARTSTREAM_LOG_WINDOW_BYTES",
        positive_int,
        default=64 * 1024**2,
        help="bytes of the newest log entries kept in memory for watchers",
    )
    limits: Limits = setting("PARTSTREAM_LIMITS", limits, default=Limits(), help=LIMITS_HELP)
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), default="none", help="where traces go"
    )

    def problems(self) -> list[str]:
        """Return a line for each certificate or key that cannot be used."""
        return GrpcServerSettings.problems(self) + GrpcClientSettings.problems(self)
