"""What ``up`` reads from the environment. Other settings are passed to the processes unchanged."""

from dataclasses import dataclass

from chassis.settings import choice, dsn, port, redis_url, seconds, setting, text
from chassis.tls import HttpTlsSettings
from stack.servers.ports import LOOPBACK
from stack.supervision.first_admin import DEFAULT_ADMIN

DEFAULT_INVENTORY_PORT = 50051
DEFAULT_CONTENT_PORT = 50052
DEFAULT_IDENTITY_PORT = 50060
# Apart from None, which says: run without Redis.
EMBEDDED = ""


def _seconds_or_never(raw: str) -> float:
    return 0.0 if raw.strip() == "0" else seconds(raw)


def _redis(raw: str) -> str | None:
    return redis_url(raw)


@dataclass(frozen=True, slots=True)
class UpSettings(HttpTlsSettings):
    """Every default runs the whole system on one machine with nothing installed beforehand."""

    host: str = setting(
        "PARTSTREAM_HOST", text, default=LOOPBACK, help="address that everything listens on unless a setting below says"
    )
    edge_host: str = setting(
        "PARTSTREAM_EDGE_HOST", text, default=LOOPBACK, fallback="PARTSTREAM_HOST", help="address of the edges"
    )
    grpc_host: str = setting(
        "PARTSTREAM_GRPC_HOST", text, default=LOOPBACK, fallback="PARTSTREAM_HOST", help="address of the services"
    )
    operations_host: str = setting(
        "PARTSTREAM_OPERATIONS_HOST",
        text,
        default=LOOPBACK,
        fallback="PARTSTREAM_HOST",
        help="address of the operations port of every process",
    )
    inventory_port: int | None = setting(
        "PARTSTREAM_INVENTORY_PORT", port, default=None, help="port of the first inventory service; further ones follow"
    )
    content_port: int | None = setting(
        "PARTSTREAM_CONTENT_PORT", port, default=None, help="port of the first content service; further ones follow"
    )
    identity_port: int | None = setting(
        "PARTSTREAM_IDENTITY_PORT",
        port,
        default=None,
        help="gRPC port of the first edge, where the services follow what is revoked; further ones follow",
    )
    operations_port: int | None = setting(
        "PARTSTREAM_OPERATIONS_PORT",
        port,
        default=None,
        help="operations port of the first process; those of the others follow, in the order of `status`",
    )
    database_url: str | None = setting(
        "PARTSTREAM_DATABASE_URL",
        dsn,
        default=None,
        help="administrator of a server to use instead of the embedded one",
    )
    redis_url: str | None = setting(
        "PARTSTREAM_REDIS_URL", _redis, default=EMBEDDED, help="a server to use instead of the embedded one, or `none`"
    )
    admin_username: str = setting(
        "PARTSTREAM_ADMIN_USERNAME", text, default=DEFAULT_ADMIN, help="name of the first admin"
    )
    admin_password: str | None = setting(
        "PARTSTREAM_ADMIN_PASSWORD", text, default=None, help="password of the first admin; generated when absent"
    )
    unresponsive_seconds: float = setting(
        "PARTSTREAM_UNRESPONSIVE_SECONDS",
        _seconds_or_never,
        default=10.0,
        help="time after which a process that does not respond is ended and started again; 0 = never",
    )
    # Checked here too, so that a mistake is said before anything starts.
    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="form of log lines")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="least level logged"
    )
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), default="none", help="where traces go"
    )
