"""Configuration of Piccolo's own commands: ``piccolo migrations check``, ``piccolo shell run``; see docs/running.md.

The services and ``migrate`` do not use it. A command works on one database, because migrations of two services may have
the same module name.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

import content_svc.settings
import edge.settings
import inventory_svc.settings
import tasks.settings
from chassis.settings import choice, load, setting

# The Piccolo app of each database, and the settings that hold its address.
APPS: Final[dict[str, tuple[str, type]]] = {
    "inventory": ("inventory_svc.piccolo_app", inventory_svc.settings.MigrateSettings),
    "content": ("content_svc.piccolo_app", content_svc.settings.MigrateSettings),
    "edge": ("edge.piccolo_app", edge.settings.MigrateSettings),
    "audit": ("tasks.piccolo_app", tasks.settings.MigrateSettings),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PiccoloSettings:
    """Settings of Piccolo's commands."""

    database: str = setting("PARTSTREAM_PICCOLO_DATABASE", choice(*APPS), help="database of `piccolo` commands")


_app, _settings = APPS[load(PiccoloSettings).database]

# Without Piccolo's own app of migrations: it has no migrations, and `check` fails on it.
APP_REGISTRY: Final = AppRegistry(apps=[_app])


@functools.cache
def _engine() -> PostgresEngine:
    return PostgresEngine(config={"dsn": load(_settings).database_url}, extensions=())


def __getattr__(name: str) -> Any:
    """Return the engine as ``DB``: it connects when it is made, so it is made when it is first used."""
    if name == "DB":
        return _engine()
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
