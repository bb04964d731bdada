"""What the service reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.settings import choice, dsn, port, positive_int, setting, text


@dataclass(frozen=True, slots=True)
class MigrateSettings:
    """For ``migrate``."""

    database_url: str = setting(
        "PARTSTREAM_INVENTORY_DATABASE_URL", dsn, help="the inventory database, postgresql://role:password@host:port/db"
    )
