"""``./partstream log``: is the change log what was written?

``log verify`` walks the hash chain of a service and names the first revision that does not fit, then compares every row
with the newest entry about it and names those that differ; with ``--against FILE`` it also holds the log against a
signed checkpoint. ``log checkpoint`` prints one, to be kept where the owner of the database cannot reach it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import asyncpg

from changelog.integrity import (
    Verdict,
    compare_checkpoint,
    compare_rows,
    make_checkpoint,
    read_checkpoint,
    sign_checkpoint,
    verify_chain,
)
from chassis.logs import visible
from chassis.tokens import SigningKey
from cli.tree import LOGS
from stack import stack_state
from stack.stack_state import StackState


def verify(given: argparse.Namespace) -> int:
    """Verify one log or both; 1 when an entry or a row does not match."""
    state, key = _stack(given)
    services = (given.service,) if given.service else LOGS
    return max(asyncio.run(_verify(state.databases[name], name, given.against, key)) for name in services)


def checkpoint(given: argparse.Namespace) -> int:
    """Print a signed checkpoint; 1 when the log is empty."""
    state, key = _stack(given)
    return asyncio.run(_checkpoint(state.databases[given.service], given.service, key))


def _stack(given: argparse.Namespace) -> tuple[StackState, SigningKey]:
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    return state, SigningKey.load(Path(state.settings["PARTSTREAM_SIGNING_KEY_FILE"]))


async def _checkpoint(dsn: str, service: str, key: SigningKey) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        made = await make_checkpoint(connection, service)
    finally:
        await connection.close()
    if made is None:
        print(f"the {service} log is empty: there is nothing to make a checkpoint of", file=sys.stderr)
        return 1
    print(sign_checkpoint(made, key))
    return 0


async def _verify(dsn: str, service: str, against: Path | None, key: SigningKey) -> int:
    began = time.monotonic()
    connection = await asyncpg.connect(dsn)
    try:
        verdict = await verify_chain(connection)
        if verdict.first_bad_revision is None and against is not None:
            verdict = await _compare(connection, service, against, key, verdict)
        count, differing = await compare_rows(connection)
    except (ValueError, OSError) as error:
        print(visible(f"{service}: {error}"), file=sys.stderr)
        return 1
    finally:
        await connection.close()
    took = time.monotonic() - began
    if verdict.first_bad_revision is not None:
        problem = visible(f"{service}: revision {verdict.first_bad_revision} does not fit: {verdict.problem}")
        print(problem, file=sys.stderr)
    for row in differing:
        print(visible(f"{service}: {row.entity} {row.entity_id}: {row.problem}"), file=sys.stderr)
    if count > len(differing):
        print(f"{service}: {count} rows differ; these were the first", file=sys.stderr)
    if count or verdict.first_bad_revision is not None:
        return 1
    print(f"{service}: {verdict.checked} entries fit ({took:.1f} s)")
    print(f"{service}: every row is as its last entry says")
    return 0


async def _compare(
    connection: asyncpg.Connection[asyncpg.Record], service: str, against: Path, key: SigningKey, walked: Verdict
) -> Verdict:
    checkpoint = read_checkpoint(await asyncio.to_thread(against.read_text), key.public_key)
    if checkpoint.log != service:
        return walked
    compared = await compare_checkpoint(connection, checkpoint)
    return walked if compared.first_bad_revision is None else compared
