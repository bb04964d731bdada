"""Everything the worker, the scheduler and the migration read from their environment."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.operations import OperationsSettings
from chassis.settings import choice, dsn, positive_int, redis_url, setting, urls


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
    threads: int = setting(
        "PARTSTREAM_WORKER_THREADS", positive_int, help="jobs worked on at once in this process", default=2
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings(ProcessSettings):
    """Settings of ``scheduler``."""

    audit_retention_months: int | None = setting(
        "PARTSTREAM_AUDIT_RETENTION_MONTHS",
        positive_int,
        help="whole months of the audit trail that are kept besides the present one; unset = all",
        default=None,
    )
