"""Backups of one database, and bringing one back under running services.

A restore is made beside the database in use, checked, given a new epoch, and then put in its place in one transaction.
Whoever was connected loses the connection, and finds the other database when it comes again; cursors of the epoch
before are refused from then on. The database that was in use stays, under another name.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from changelog.integrity import verify_chain
from stack.errors import CopyFailed
from stack.servers.audit_drain import HeldLog, TrailOfLog, held_log
from stack.servers.databases import CLOSE_DATABASE, JOIN_ROLE, dsn_for
from stack.servers.programs import connection_environment, postgres_program

CREATE = sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8'")
DROP = sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
RENAME = sql.SQL("ALTER DATABASE {name} RENAME TO {target}")
ADMIT = sql.SQL("ALTER DATABASE {name} CONNECTION LIMIT {limit}")
END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> %s
"""
HAS_LOG = "SELECT to_regclass('change_log') IS NOT NULL"
BEGIN_EPOCH = "SELECT change_log_begin_epoch()::text"
HEAD = "SELECT coalesce(max(revision), 0) FROM change_log"
_SWAP_ATTEMPTS = 20  # sessions that were just opening are ended by the next one
_SWAP_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. ``epoch`` and ``revision`` are empty for a database without a change log."""

    kept_as: str
    epoch: str = ""
    revision: int = 0


def dump(dsn: str, file: Path) -> None:
    """Write a database to a file, as of one snapshot, without blocking. An existing file is replaced at the end."""
    draft = file.with_name(f".{file.name}.draft")
    _run("pg_dump", dsn, "--format=custom", f"--file={draft}")
    draft.replace(file)


def restore(admin_dsn: str, dsn: str, file: Path, trail: TrailOfLog | None = None) -> Restored:
    """Put what a file holds in the place of the database of ``dsn``.

    ``trail`` is given the time to take in the last entries of the log in use. Raises CopyFailed, with the database in
    use untouched, when the file cannot be read or its log is not whole.
    """
    parts = conninfo_to_dict(dsn)
    name, owner = str(parts["dbname"]), str(parts["user"])
    beside = f"{name}_restoring"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        _create(admin, beside, owner)
        try:
            new_dsn = dsn_for(dsn, owner, str(parts.get("password") or ""), beside)
            _run("pg_restore", new_dsn, "--no-owner", "--no-privileges", "--exit-on-error", str(file))
            epoch, revision = asyncio.run(_begin_epoch(new_dsn))
            kept_as = f"{name}_before_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
            with held_log(dsn, trail if epoch else None, revision) as held:
                _swap(admin, name, beside, kept_as, held)
        except BaseException:
            admin.execute(DROP.format(name=sql.Identifier(beside)))
            raise
    return Restored(kept_as, epoch, revision)


def _create(admin: psycopg.Connection, name: str, owner: str) -> None:
    names = {"name": sql.Identifier(name), "owner": sql.Identifier(owner)}
    admin.execute(DROP.format(**names))
    admin.execute(JOIN_ROLE.format(name=names["owner"]))
    admin.execute(CREATE.format(**names))
    admin.execute(CLOSE_DATABASE.format(name=names["name"]))


async def _begin_epoch(dsn: str) -> tuple[str, int]:
    """A new epoch for a log that is whole; ``("", 0)`` when there is no log."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval(HAS_LOG):
            return "", 0
        verdict = await verify_chain(connection)
        if verdict.first_bad_revision is not None:
            message = f"the log in the file is not whole: revision {verdict.first_bad_revision}: {verdict.problem}"
            raise CopyFailed(message)
        await connection.execute("ANALYZE")
        return await connection.fetchval(BEGIN_EPOCH), await connection.fetchval(HEAD)
    finally:
        await connection.close()


def _swap(admin: psycopg.Connection, name: str, beside: str, kept_as: str, held: HeldLog) -> None:
    """Admit no session, end every one, and rename both at once. ``held`` ends after all others."""
    names = {"name": sql.Identifier(name)}
    admin.execute(ADMIT.format(**names, limit=sql.Literal(0)))
    try:
        for attempt in range(1, _SWAP_ATTEMPTS + 1):
            ended = admin.execute(END_SESSIONS, (name, held.pid)).fetchone()
            if ended is not None and ended[0] and attempt < _SWAP_ATTEMPTS:
                time.sleep(_SWAP_PAUSE_SECONDS)  # until none is left, so that what is read next is the end
                continue
            held.finish()
            try:
                with admin.transaction():
                    admin.execute(RENAME.format(**names, target=sql.Identifier(kept_as)))
                    admin.execute(RENAME.format(name=sql.Identifier(beside), target=names["name"]))
            except psycopg.errors.ObjectInUse:
                if attempt == _SWAP_ATTEMPTS:
                    raise
            else:
                break
    except BaseException:
        admin.execute(ADMIT.format(**names, limit=sql.Literal(-1)))
        raise
    admin.execute(ADMIT.format(name=sql.Identifier(kept_as), limit=sql.Literal(-1)))


def _run(program: str, dsn: str, *arguments: str) -> None:
    """Run a PostgreSQL program on a database; the password is in its environment, not in the process list."""
    environment = os.environ | connection_environment(dsn)
    target = ["--dbname", environment["PGDATABASE"]] if program == "pg_restore" else []
    done = subprocess.run(
        [postgres_program(program), *target, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        message = f"{program} ended with {done.returncode}: {done.stderr.strip()}"
        raise CopyFailed(message)
