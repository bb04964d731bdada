"""``python -m tasks worker|scheduler|migrate``."""

from __future__ import annotations

import asyncio
import sys

from chassis import logs
from chassis.entry_point import run_command
from chassis.migrate import migrate
from chassis.settings import load
from tasks.settings import MigrateSettings, SchedulerSettings, WorkerSettings

APPS = ("tasks.piccolo_app",)


def main() -> int:
    """Run the command that the command line names; return the exit code."""
    return run_command("tasks", {"worker": _worker, "scheduler": _scheduler, "migrate": _migrate})


def _worker() -> int:
    import uvloop  # noqa: PLC0415 - not needed to migrate

    from tasks.app import run_worker  # noqa: PLC0415 - likewise

    return uvloop.run(run_worker(load(WorkerSettings)))


def _scheduler() -> int:
    import uvloop  # noqa: PLC0415 - not needed to migrate

    from tasks.app import run_scheduler  # noqa: PLC0415 - likewise

    return uvloop.run(run_scheduler(load(SchedulerSettings)))


def _migrate() -> int:
    settings = load(MigrateSettings)
    logs.configure("tasks migrate", format=settings.log_format, level=settings.log_level)
    asyncio.run(migrate(settings.database_url, APPS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
