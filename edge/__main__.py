"""``python -m edge serve`` runs one edge, ``migrate`` brings its database to the newest schema."""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvloop

from chassis import logs
from chassis.database import Database
from chassis.errors import StoreUnavailable
from chassis.migrate import migrate
from chassis.server import PortTaken
from chassis.settings import SettingsError, load
from edge.app import serve
from edge.identity.first_admin import ensure_first_admin
from edge.settings import EdgeSettings, MigrateSettings


async def run_migrate(settings: MigrateSettings) -> None:
    """Migrate, and make the first administrator if there is no user yet."""
    logs.configure("edge", format=settings.log_format, level=settings.log_level)
    await migrate(settings.database_url, ["edge.piccolo_app"])
    database = await Database.open(settings.database_url, application_name="partstream-edge-migrate", max_size=1)
    try:
        await ensure_first_admin(database, settings.admin_username, settings.admin_password)
    finally:
        await database.close()


def main() -> int:
    """Do the verb; exit code 2 for settings that are missing or wrong."""
    parser = argparse.ArgumentParser(prog="python -m edge", description=__doc__)
    parser.add_argument("verb", choices=("serve", "migrate"))
    verb = parser.parse_args().verb
    try:
        if verb == "migrate":
            asyncio.run(run_migrate(load(MigrateSettings)))
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve(load(EdgeSettings)))
    except SettingsError as error:
        sys.stderr.write("\n".join(["The edge cannot start:", *error.problems]) + "\n")
        return 2
    except (StoreUnavailable, PortTaken) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
