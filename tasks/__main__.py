"""``python -m tasks worker | scheduler | migrate``."""

from __future__ import annotations

import asyncio
import sys

from chassis import logs, telemetry
from chassis.addresses import PortTaken
from chassis.errors import StoreUnavailable
from chassis.migrate import migrate
from chassis.settings import SettingsError, load
from tasks.app import run_scheduler, run_worker
from tasks.settings import MigrateSettings, SchedulerSettings, WorkerSettings

USAGE = "usage: python -m tasks worker | scheduler | migrate"


def main(arguments: list[str]) -> int:
    """Run one of the programs; 2 when it cannot be told what to do."""
    programs = {"worker": _worker, "scheduler": _scheduler, "migrate": _migrate}
    if len(arguments) != 1 or arguments[0] not in programs:
        print(USAGE, file=sys.stderr)  # noqa: T201 - there are no settings for a log yet
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        programs[arguments[0]]()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - likewise
        return 2
    except PortTaken as error:
        print(error, file=sys.stderr)  # noqa: T201 - the message says all
        return 1
    except StoreUnavailable as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - a migration's only line
        return 1
    return 0


def _worker() -> None:
    settings = load(WorkerSettings)
    logs.configure("worker", format=settings.log_format, level=settings.log_level)
    telemetry.configure("partstream-worker", settings.otel_exporter)
    asyncio.run(run_worker(settings))
    telemetry.shutdown()


def _scheduler() -> None:
    settings = load(SchedulerSettings)
    logs.configure("scheduler", format=settings.log_format, level=settings.log_level)
    telemetry.configure("partstream-scheduler", settings.otel_exporter)
    asyncio.run(run_scheduler(settings))
    telemetry.shutdown()


def _migrate() -> None:
    settings = load(MigrateSettings)
    logs.configure("tasks migrate", format=settings.log_format, level=settings.log_level)
    asyncio.run(migrate(settings.database_url, ["tasks.piccolo_app"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
