"""``python -m content_svc serve|migrate``."""

from __future__ import annotations

import asyncio
import sys

from chassis import logs
from chassis.errors import StoreUnavailable
from chassis.migrate import migrate
from chassis.settings import SettingsError, load
from content_svc.settings import MigrateSettings, Settings

APPS = ("content_svc.piccolo_app",)


def main() -> int:
    """Run the command named on the command line; answers the exit code."""
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        if command == "migrate":
            _migrate(load(MigrateSettings))
            return 0
        if command == "serve":
            return _serve(load(Settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before logs are configured
        return 2
    except StoreUnavailable as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - likewise
        return 1
    print("usage: python -m content_svc serve|migrate", file=sys.stderr)  # noqa: T201
    return 0 if command in {"-h", "--help"} else 2


def _migrate(settings: MigrateSettings) -> None:
    logs.configure("content migrate", format=settings.log_format, level=settings.log_level)
    asyncio.run(migrate(settings.database_url, APPS))


def _serve(settings: Settings) -> int:
    import uvloop  # noqa: PLC0415 - not needed to migrate

    from content_svc.app import serve  # noqa: PLC0415

    return uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
