"""Run Piccolo's migrations of a package, and define those that are files of SQL: docs/migrations.md."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.apps.migrations.commands.forwards import run_forwards
from piccolo.conf.apps import AppRegistry
from piccolo.engine.finder import engine_finder
from piccolo.engine.postgres import PostgresEngine

from chassis.errors import StoreUnavailable
from chassis.store_errors import STORE_FAILURES, UNAVAILABLE, meaning_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_MIGRATION_LOCK = (7301, 3)
_CONFIG_MODULE = "partstream_piccolo_conf"

log = logging.getLogger(__name__)


class MigrationIrreversible(Exception):
    """A migration cannot run backwards, because its rows would be lost."""


async def migrate(dsn: str, app_modules: Sequence[str]) -> None:
    """Bring a database to the newest schema; ``app_modules`` are dotted paths of ``piccolo_app`` modules.

    Piccolo finds its engine in a module of settings, and keeps it: this call creates one, once per process. Several
    processes may migrate at once: an advisory lock lets one of them work, and the others find nothing to do. Raise
    ``StoreUnavailable`` when the database is unavailable.
    """
    try:
        lock = await asyncpg.connect(dsn)
    except STORE_FAILURES as error:
        meaning = meaning_of(error)
        known = meaning.sentence if meaning is not None and meaning is not UNAVAILABLE else ""
        message = known or f"the database cannot be reached: {error}"
        raise StoreUnavailable(message) from error
    try:
        await lock.execute("SELECT pg_advisory_lock($1, $2)", *_MIGRATION_LOCK)
        engine = PostgresEngine(config={"dsn": dsn}, extensions=(), log_queries=False)
        module = types.ModuleType(_CONFIG_MODULE)
        module.DB = engine  # type: ignore[attr-defined]
        module.APP_REGISTRY = AppRegistry(apps=[*app_modules, "piccolo.apps.migrations.piccolo_app"])  # type: ignore[attr-defined]
        sys.modules[_CONFIG_MODULE] = module
        os.environ["PICCOLO_CONF"] = _CONFIG_MODULE
        for app in app_modules:
            name = sys.modules[app].APP_CONFIG.app_name if app in sys.modules else _app_name(app)
            await _run_forwards(name)
            log.info("database migrated", extra={"app": name})
    finally:
        await lock.close()


async def _run_forwards(app_name: str) -> None:
    """Run the migrations. Print Piccolo's output only when one fails, because it names that one."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            await run_forwards(app_name=app_name)
    except STORE_FAILURES as error:
        meaning = meaning_of(error)
        if meaning is None or not meaning.is_condition:
            sys.stderr.write(printed.getvalue())
            raise
        message = f"The migration stopped and can be run again. {meaning.sentence}"
        raise StoreUnavailable(message) from error
    except BaseException:
        sys.stderr.write(printed.getvalue())
        raise


def _app_name(module: str) -> str:
    import importlib  # noqa: PLC0415

    name: str = importlib.import_module(module).APP_CONFIG.app_name
    return name


def sql_migration(
    path: str, migration_id: str, app_name: str, description: str
) -> Callable[[], Awaitable[MigrationManager]]:
    """Return the ``forwards`` of a migration that runs the `.sql` file beside it, and backwards its `.down.sql` file.

    A file holds any number of statements; Piccolo's own ``raw`` takes one. Without a `.down.sql` file, running it
    backwards raises ``MigrationIrreversible``: Piccolo would only forget that the migration has run.
    """
    script = Path(path).with_suffix(".sql")
    reverse = Path(path).with_suffix(".down.sql")

    async def run() -> None:
        await _run_script(_read(script))

    async def run_backwards() -> None:
        await _run_script(_read(reverse))

    async def forwards() -> MigrationManager:
        manager = MigrationManager(migration_id=migration_id, app_name=app_name, description=description)
        manager.add_raw(run)
        manager.add_raw_backwards(run_backwards)
        return manager

    return forwards


def _read(script: Path) -> str:
    if not script.exists():
        message = (
            f"There is no {script.name}: the migration cannot run in this direction. Restore an older dump instead."
        )
        raise MigrationIrreversible(message)
    return script.read_text(encoding="utf-8")


async def _run_script(script: str) -> None:
    engine = engine_finder()
    transaction = engine.current_transaction.get() if isinstance(engine, PostgresEngine) else None
    if transaction is None:
        message = "A migration runs in a transaction of Piccolo's PostgreSQL engine only."
        raise RuntimeError(message)
    await transaction.connection.execute(script)
