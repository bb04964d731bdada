"""``db restore``: the last entries of the log that is replaced are in the audit trail, or reported as missing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import psycopg
import pytest
from psycopg import sql

from cli.restored_trail import UNREACHABLE, RestoredTrail
from stack.servers.database_copies import Restored, dump, restore
from tasks.audit.store import AuditStore, Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.servers import TestServers

INSERT = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES (%s, 'main', 1)"
IDENTITY = "SELECT epoch, (SELECT coalesce(max(revision), 0) FROM change_log) FROM change_log_identity"


class Databases:
    """An inventory and its trail, without a service between them."""

    def __init__(self, inventory: str, audit: str, admin: str) -> None:
        self.inventory, self.audit, self.admin = inventory, audit, admin
        self.kept: list[str] = []

    def write(self, *parts: str) -> tuple[UUID, int]:
        """Write levels; return the epoch and the last revision."""
        with psycopg.connect(self.inventory, autocommit=True) as shell:
            for part in parts:
                shell.execute(INSERT, [part])
            row = shell.execute(IDENTITY).fetchone()
        assert row is not None
        return row[0], row[1]

    def store(self, epoch: UUID, revision: int, cause: str = "stored") -> str:
        """Move the trail to a revision; return the reason that it noted last."""

        async def run() -> str:
            async with asyncpg.create_pool(self.audit, min_size=1, max_size=1) as pool:
                await AuditStore(pool).record_gap(Gap("inventory", epoch, revision, cause))
                noted = await pool.fetchval("SELECT reason FROM data_change ORDER BY id DESC LIMIT 1")
                return str(noted)

        return asyncio.run(run())

    def restore(self, file: Path, trail: RestoredTrail) -> Restored:
        """Restore as the operator does."""
        with trail:
            done = restore(self.admin, self.inventory, file, trail)
        self.kept.append(done.kept_as)
        return done


@pytest.fixture
def databases(inventory_dsn: str, audit_dsn: str, servers: TestServers) -> Iterator[Databases]:
    """The two databases; what a restore left aside is dropped when the test is over."""
    made = Databases(inventory_dsn, audit_dsn, servers.admin_dsn)
    yield made
    with psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
        for name in made.kept:
            admin.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(name=sql.Identifier(name)))


def test_entries_that_the_trail_lacks_are_named(databases: Databases, tmp_path: Path) -> None:
    """They were lost without a word: the trail went over to the new epoch, and nothing said what it had not read."""
    file = tmp_path / "inventory.dump"
    epoch, dumped = databases.write("a", "b")
    dump(databases.inventory, file)
    _, last = databases.write("c", "d", "e", "f")
    databases.store(epoch, dumped + 1)
    trail = RestoredTrail(databases.audit, "inventory", 0.1)

    done = databases.restore(file, trail)
    noted = databases.store(UUID(done.epoch), done.revision, "restored")

    missing = f"3 entries of epoch {epoch} missing: revisions {dumped + 2} to {last}"
    assert trail.is_incomplete
    assert trail.report == f"WARNING: the audit trail is incomplete: {missing}"
    assert noted == f"restored: {missing}"


def test_a_trail_that_has_everything_is_said_to(databases: Databases, tmp_path: Path) -> None:
    file = tmp_path / "inventory.dump"
    databases.write("a", "b")
    dump(databases.inventory, file)
    epoch, last = databases.write("c")
    databases.store(epoch, last)
    trail = RestoredTrail(databases.audit, "inventory", 30)

    done = databases.restore(file, trail)
    noted = databases.store(UUID(done.epoch), done.revision, "restored")

    assert (trail.is_incomplete, trail.report) == (False, "the audit trail has every entry of the epoch before")
    assert noted == f"restored: no entry of epoch {epoch} is missing"


def test_a_trail_that_is_behind_is_waited_for(databases: Databases, tmp_path: Path) -> None:
    file = tmp_path / "inventory.dump"
    databases.write("a")
    dump(databases.inventory, file)
    epoch, last = databases.write("b", "c")
    databases.store(epoch, last - 1)
    asked = threading.Event()

    class Watched(RestoredTrail):
        def holds(self, epoch: str, revision: int) -> bool:
            found = super().holds(epoch, revision)
            asked.set()
            return found

    trail = Watched(databases.audit, "inventory", 60)
    restoring = threading.Thread(target=databases.restore, args=(file, trail))
    restoring.start()
    assert asked.wait(60)
    databases.store(epoch, last)
    restoring.join()

    assert trail.report == "the audit trail has every entry of the epoch before"


def test_what_the_restored_log_has_comes_again_and_is_not_missing(databases: Databases, tmp_path: Path) -> None:
    file = tmp_path / "inventory.dump"
    databases.write("a", "b", "c")
    dump(databases.inventory, file)
    trail = RestoredTrail(databases.audit, "inventory", 0.1)

    databases.restore(file, trail)

    assert trail.report == "the audit trail has every entry of the epoch before"


def test_a_trail_that_cannot_be_reached_holds_no_restore_up(databases: Databases, tmp_path: Path) -> None:
    file = tmp_path / "inventory.dump"
    databases.write("a")
    dump(databases.inventory, file)
    databases.write("b")
    trail = RestoredTrail("postgresql://nobody:none@127.0.0.1:1/none", "inventory", 60)

    databases.restore(file, trail)

    assert trail.report == UNREACHABLE
    with psycopg.connect(databases.inventory) as shell:
        assert shell.execute("SELECT array_agg(part_id::text) FROM stock_level").fetchone() == (["a"],)
