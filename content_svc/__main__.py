"""``python -m content_svc serve|migrate``."""

from __future__ import annotations

import asyncio
import sys

from chassis import logs
from chassis.entry_point import run_command
from chassis.migrate import migrate
from chassis.settings import load
from content_svc.settings import MigrateSettings, Settings

APPS = ("content_svc.piccolo_app",)


def main() -> int:
    """Run the command that the command line names; return the exit code."""
    return run_command("content_svc", {"serve": _serve, "migrate": _migrate})


def _migrate() -> int:
    settings = load(MigrateSettings)
    logs.configure("content migrate", format=settings.log_format, level=settings.log_level)
    asyncio.run(migrate(settings.database_url, APPS))
    return 0


def _serve() -> int:
    import uvloop  # noqa: PLC0415 - not needed to migrate

    from content_svc.app import serve  # noqa: PLC0415 - likewise

    return uvloop.run(serve(load(Settings)))


if __name__ == "__main__":
    sys.exit(main())
