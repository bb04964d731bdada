"""Settings of the inventory service."""

from __future__ import annotations

from dataclasses import dataclass

from changelog.service_settings import LogLineSettings, ServiceSettings
from chassis.settings import dsn, port, positive_int, setting, targets


@dataclass(frozen=True, kw_only=True)
class MigrateSettings(LogLineSettings):
    """For ``migrate``."""

    database_url: str = setting(
        "PARTSTREAM_INVENTORY_DATABASE_URL", dsn, help="the inventory database, postgresql://role:password@host:port/db"
    )


@dataclass(frozen=True, kw_only=True)
class Settings(MigrateSettings, ServiceSettings):
    """For ``serve``."""

    content_targets: tuple[str, ...] = setting(
        "PARTSTREAM_CONTENT_TARGETS",
        targets,
        default=(),
        help="content replicas, host:port, comma-separated: their change log names the published parts",
    )
    port: int = setting("PARTSTREAM_INVENTORY_PORT", port, default=50051, help="port of this replica")
    pool_size: int = setting(
        "PARTSTREAM_INVENTORY_POOL_SIZE", positive_int, default=10, help="maximum number of connections to the database"
    )
    guest_lines: int = setting(
        "PARTSTREAM_GUEST_LINES", positive_int, default=50, help="lines of a reservation without an account"
    )
    guest_units: int = setting(
        "PARTSTREAM_GUEST_UNITS",
        positive_int,
        default=10_000,
        help="units of one part in a reservation without an account",
    )
    guest_ttl_seconds: int = setting(
        "PARTSTREAM_GUEST_TTL_SECONDS",
        positive_int,
        default=3600,
        help="maximum seconds until a reservation without an account expires",
    )
    guest_extensions: int = setting(
        "PARTSTREAM_GUEST_EXTENSIONS",
        positive_int,
        default=10,
        help="how often the expiry of a reservation without an account can be moved, by an extension or a replacement",
    )
    guest_open_reservations: int = setting(
        "PARTSTREAM_GUEST_OPEN_RESERVATIONS", positive_int, default=10, help="open reservations of one guest's cart"
    )
