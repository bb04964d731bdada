"""Settings of the edge."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chassis.limits import LIMITS_HELP, Limits, limits
from chassis.operations import OperationsSettings
from chassis.settings import choice, days, dsn, file, port, positive_int, redis_url, setting, targets, text
from chassis.tls import GrpcClientSettings, GrpcServerSettings, HttpTlsSettings
from edge.http.origins import origins

if TYPE_CHECKING:
    from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(raw: str) -> tuple[Network, ...]:
    """Parse addresses or networks, comma-separated; ``ValueError`` names the invalid one."""
    return tuple(ipaddress.ip_network(item.strip()) for item in raw.split(",") if item.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings(HttpTlsSettings, GrpcServerSettings, GrpcClientSettings, OperationsSettings):
    """Settings of ``serve``."""

    database_url: str = setting("PARTSTREAM_EDGE_DATABASE_URL", dsn, help="database of users and sessions")
    audit_database_url: str = setting(
        "PARTSTREAM_AUDIT_DATABASE_URL", dsn, help="database of the audit rows, read here"
    )
    inventory_targets: tuple[str, ...] = setting(
        "PARTSTREAM_INVENTORY_TARGETS", targets, help="inventory replicas, host:port, comma-separated"
    )
    content_targets: tuple[str, ...] = setting(
        "PARTSTREAM_CONTENT_TARGETS", targets, help="content replicas, host:port, comma-separated"
    )
    signing_key_file: Path = setting(
        "PARTSTREAM_SIGNING_KEY_FILE", file, help="PEM file of the Ed25519 private key that tokens are signed with"
    )
    jwks: str = setting("PARTSTREAM_JWKS", text, help="key set to verify tokens with: a path or an http(s) address")
    process_keys: str = setting(
        "PARTSTREAM_PROCESS_KEYS",
        text,
        help="keys that processes prove themselves with: a file or its address; unset = no process is known",
        default="",
    )
    credential_file: Path = setting(
        "PARTSTREAM_CREDENTIAL_FILE", file, help="PEM file of the private key that this process proves itself with"
    )
    redis_url: str | None = setting("PARTSTREAM_REDIS_URL", redis_url, help="redis:// address, or `none`", default=None)
    grpc_host: str = setting(
        "PARTSTREAM_GRPC_HOST",
        text,
        help="address that the gRPC port listens on; unset = PARTSTREAM_HOST",
        default="127.0.0.1",
        fallback="PARTSTREAM_HOST",
    )
    identity_port: int = setting(
        "PARTSTREAM_IDENTITY_PORT",
        port,
        help="gRPC port of this copy, where the services follow what is revoked",
        default=50060,
    )
    host: str = setting(
        "PARTSTREAM_EDGE_HOST",
        text,
        help="address to listen on; unset = PARTSTREAM_HOST",
        default="127.0.0.1",
        fallback="PARTSTREAM_HOST",
    )
    port: int = setting("PARTSTREAM_PORT", port, help="HTTP port of this copy", default=8000)
    trusted_proxies: tuple[Network, ...] = setting(
        "PARTSTREAM_TRUSTED_PROXIES",
        networks,
        help="networks whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are trusted",
        default=(),
    )
    allowed_origins: tuple[str, ...] = setting(
        "PARTSTREAM_ALLOWED_ORIGINS",
        origins,
        help="origins of storefronts elsewhere whose pages may call the API and open WebSockets, comma-separated",
        default=(),
    )
    registration: str = setting(
        "PARTSTREAM_REGISTRATION",
        choice("on", "off"),
        help="whether customers may register by themselves",
        default="on",
    )
    max_concurrent_requests: int = setting(
        "PARTSTREAM_MAX_CONCURRENT_REQUESTS",
        positive_int,
        help="requests served at once, without those that wait for their body; more get 503",
        default=1000,
    )
    request_head_seconds: int = setting(
        "PARTSTREAM_REQUEST_HEAD_SECONDS",
        positive_int,
        help="seconds that a connection may take to send the head of its next request; then it is closed",
        default=30,
    )
    request_body_seconds: int = setting(
        "PARTSTREAM_REQUEST_BODY_SECONDS",
        positive_int,
        help="seconds that a request body may take to arrive, and one more per 16 KiB of it; then 408",
        default=10,
    )
    keep_security_events_for: timedelta = setting(
        "PARTSTREAM_SECURITY_EVENT_KEEP_DAYS",
        days,
        help="days that security events are kept, at least 1",
        default=timedelta(days=90),
    )
    limits: Limits = setting("PARTSTREAM_LIMITS", limits, help=LIMITS_HELP, default=Limits())
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), help="where traces go", default="none"
    )
    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), help="form of log lines", default="text")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), help="least level logged", default="INFO"
    )

    def problems(self) -> list[str]:
        """Return a line for each certificate or key that cannot be used."""
        found = (part.problems(self) for part in (HttpTlsSettings, GrpcServerSettings, GrpcClientSettings))
        problems = [problem for problems in found for problem in problems]
        if self.keep_security_events_for < timedelta(days=1):
            problems.append("PARTSTREAM_SECURITY_EVENT_KEEP_DAYS is wrong: security events are kept for 1 day at least")
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """Settings of ``migrate``: the first administrator is created when there is no user yet and a password is given."""

    database_url: str = setting("PARTSTREAM_EDGE_DATABASE_URL", dsn, help="database of users and sessions")
    admin_username: str = setting(
        "PARTSTREAM_ADMIN_USERNAME", text, help="name of the first administrator", default="admin"
    )
    admin_password: str = setting(
        "PARTSTREAM_ADMIN_PASSWORD", text, help="password of the first administrator", default=""
    )
    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), help="form of log lines", default="text")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), help="least level logged", default="INFO"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersSettings:
    """Settings of ``users``."""

    database_url: str = setting("PARTSTREAM_EDGE_DATABASE_URL", dsn, help="database of users and sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings(UsersSettings):
    """Settings of ``token``."""

    signing_key_file: Path = setting(
        "PARTSTREAM_SIGNING_KEY_FILE", file, help="PEM file of the Ed25519 private key that tokens are signed with"
    )
