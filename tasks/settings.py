"""Everything the worker, the scheduler and the migration read from their environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chassis.operations import OperationsSettings
from chassis.settings import choice, dsn, file, positive_int, redis_url, setting, urls
from chassis.tls import authority_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """Settings of ``migrate``."""

    database_url: str = setting("PARTSTREAM_AUDIT_DATABASE_URL", dsn, help="database of the audit trail")
    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), help="form of log lines", default="text")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), help="least level logged", default="INFO"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings(MigrateSettings, OperationsSettings):
    """Settings of every process that goes on running."""

    redis_url: str | None = setting(
        "PARTSTREAM_REDIS_URL", redis_url, help="redis:// address of the job queues, or `none`"
    )
    alert_database_url: str | None = setting(
        "PARTSTREAM_EDGE_DATABASE_URL",
        dsn,
        help="the edge's database, where alerts are stored; unset = they are only logged and counted",
        default=None,
    )
    otel_exporter: str = setting(
        "PARTSTREAM_OTEL_EXPORTER", choice("none", "otlp", "console"), help="where traces go", default="none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings(ProcessSettings):
    """Settings of ``worker``."""

    edge_urls: tuple[str, ...] = setting(
        "PARTSTREAM_EDGE_URLS",
        urls,
        help="base addresses of the edges whose pages are warmed, comma-separated",
        default=(),
    )
    edge_authority: Path | None = setting(
        "PARTSTREAM_EDGE_TLS_CA",
        file,
        help="PEM file of the authority that the edges' certificate is checked with; unset = those of the system",
        default=None,
    )
    threads: int = setting(
        "PARTSTREAM_WORKER_THREADS", positive_int, help="jobs worked on at once in this process", default=2
    )

    def problems(self) -> list[str]:
        """Return a line when the certificate of the authority cannot be used."""
        return authority_problems("PARTSTREAM_EDGE_TLS_CA", self.edge_authority)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings(ProcessSettings):
    """Settings of ``scheduler``."""

    audit_retention_months: int | None = setting(
        "PARTSTREAM_AUDIT_RETENTION_MONTHS",
        positive_int,
        help="whole months of the audit trail that are kept besides the present one; unset = all",
        default=None,
    )
