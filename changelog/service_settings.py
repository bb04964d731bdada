"""Settings that every service with a change log has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chassis.limits import LIMITS_HELP, Limits, limits
from chassis.operations import OperationsSettings
from chassis.settings import choice, days, file, positive_int, setting, targets_or_none, text
from chassis.tls import GrpcClientSettings, GrpcServerSettings

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LogLineSettings:
    """Form and level of log lines, for every command."""

    log_format: str = setting(
        "PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="format of log lines"
    )
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
        help="lowest level that is logged",
    )


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(LogLineSettings, GrpcServerSettings, GrpcClientSettings, OperationsSettings):
    """For ``serve``."""

    jwks: str = setting(
        "PARTSTREAM_JWKS", text, help="keys that verify access tokens: a JWKS file or its http(s) address"
    )
    process_keys: str = setting(
        "PARTSTREAM_PROCESS_KEYS",
        text,
        default="",
        help="keys that verify the credentials of processes: a file or its http(s) address; unset = none is accepted",
    )
    revocation_targets: tuple[str, ...] | None = setting(
        "PARTSTREAM_REVOCATION_TARGETS",
        targets_or_none,
        help="gRPC addresses of the edges, which serve the revocations, host:port, comma-separated; `none` = revoked "
        "tokens are valid until they expire",
    )
    credential_file: Path | None = setting(
        "PARTSTREAM_CREDENTIAL_FILE",
        file,
        default=None,
        help="PEM file of the private key that authenticates this process",
    )
    host: str = setting(
        "PARTSTREAM_GRPC_HOST",
        text,
        default="127.0.0.1",
        fallback="PARTSTREAM_HOST",
        help="address to listen on; unset = PARTSTREAM_HOST",
    )
    log_keep_for: timedelta = setting(
        "PARTSTREAM_LOG_KEEP_DAYS", days, default=timedelta(days=90), help="days that the change log is retained"
    )
    log_keep_bytes: int = setting(
        "PARTSTREAM_LOG_KEEP_BYTES", positive_int, default=50 * 1024**3, help="maximum size of the change log in bytes"
    )
    follower_hold_for: timedelta = setting(
        "PARTSTREAM_FOLLOWER_HOLD_DAYS",
        days,
        default=timedelta(days=7),
        help="days that the change log is retained for a registered follower that no longer reports",
    )
    log_window_bytes: int = setting(
        "PARTSTREAM_LOG_WINDOW_BYTES",
        positive_int,
        default=64 * 1024**2,
        help="bytes of the newest change-log entries held in memory for watchers",
    )
    limits: Limits = setting("PARTSTREAM_LIMITS", limits, default=Limits(), help=LIMITS_HELP)
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), default="none", help="exporter of traces"
    )

    def problems(self) -> list[str]:
        """Return a line for each certificate or key that cannot be used."""
        return GrpcServerSettings.problems(self) + GrpcClientSettings.problems(self)
