"""The shared parts of scenarios: a PostgreSQL server with a migrated template, and the fork server."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.stream.own_postgres import OwnPostgres
from tests.chaos.stream.replicas import ForkServer
from tests.chaos.stream.scenario import Outcome, play
from tests.chaos.stream.world import Place
from tests.harness.small_disk import NoSmallDiskError, SmallDisk, small_disk
from tests.harness.store_conditions import Conditions
from tests.harness.templates import database, ensure_template

if TYPE_CHECKING:
    from collections.abc import Iterator


_DISK_MEGABYTES = 96  # a scenario writes 20 at most


class Stage:
    """Runs one scenario at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres = OwnPostgres(folder / "postgres")
        self._fork_server = ForkServer()
        self._stack = contextlib.ExitStack()
        self._disk: SmallDisk | None = None

    def set_up(self) -> None:
        """Return once scenarios can run."""
        self._fork_server.start()
        self._postgres.start()
        self._template = ensure_template(self._postgres.servers, "inventory", self._folder)
        with contextlib.suppress(NoSmallDiskError):
            self._disk = self._stack.enter_context(small_disk(self._postgres.admin_dsn, _DISK_MEGABYTES))

    def tear_down(self) -> None:
        """Stop the servers."""
        self._fork_server.stop()
        self._stack.close()
        self._postgres.stop()

    async def play(self, seed: int, fault: str = "") -> Outcome:
        """Run a scenario on a new database, with one fault or all."""
        folder = self._folder / f"seed-{seed}{fault}"
        folder.mkdir()
        with database(self._postgres.servers, "inventory", self._template) as dsn:
            conditions = Conditions(self._postgres.admin_dsn, dsn)
            if self._disk is not None:
                move = f'ALTER DATABASE "{conditions.name}" SET TABLESPACE "{self._disk.tablespace}"'
                self._postgres.execute(move)
            return await play(
                seed, Place(dsn, self._postgres, self._fork_server, folder, conditions, self._disk), fault
            )


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """Yield a stage, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="partstream-chaos-", ignore_cleanup_errors=True) as name:
        stage = Stage(Path(name))
        try:
            stage.set_up()
            yield stage
        finally:
            stage.tear_down()
