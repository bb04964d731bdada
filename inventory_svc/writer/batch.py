"""One batch: many pending writes decided and written in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chassis.errors import PartstreamError
from inventory_svc.commands.update_stock import update_stock_with_sync
from inventory_svc.store.unit_of_work import open_unit_of_work, upsert_users, write_unit_of_work
from inventory_svc.writer.pending_write import WriteResult, request_id_reused
from inventory_svc.writer.single_level_write import commit_single_level_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import asyncpg

    from changelog.handoff import Handoff
    from inventory_svc.store.unit_of_work import Claim, StoredRequest
    from inventory_svc.writer.pending_write import PendingWrite, Serialisable


@dataclass(slots=True)
class _Decisions:
    """The decisions on a batch."""

    accepted: list[tuple[PendingWrite, Serialisable]] = field(default_factory=list)
    repeated: list[tuple[PendingWrite, StoredRequest]] = field(default_factory=list)
    rejected: list[tuple[PendingWrite, PartstreamError]] = field(default_factory=list)


async def run_batch(
    connection: asyncpg.Connection[asyncpg.Record],
    writes: Sequence[PendingWrite],
    known_users: dict[str, str],
    on_commit: Callable[[], None],
    handoff: Handoff,
) -> None:
    """Decide and commit; then resolve every write. Raise what the driver raises, with none resolved.

    ``known_users`` caches who has a row in ``users``. ``on_commit`` is called first after a commit that changed
    something: watchers have a longer way than callers. ``handoff`` holds the log entries that the statements return.
    """
    if len(writes) == 1:
        single = await commit_single_level_write(connection, writes[0], known_users, handoff)
        if single is not None:
            on_commit()
            writes[0].resolve(single)
            return
    await connection.execute("BEGIN")
    try:
        decisions, revision, responses = await _decide_and_write(connection, writes, known_users, handoff)
        if not responses:
            await connection.execute("ROLLBACK")
        else:
            for write, _ in decisions.accepted:
                write.began_commit = True
            await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    if revision is not None:
        on_commit()
    _resolve(decisions, revision, responses)


async def _decide_and_write(
    connection: asyncpg.Connection[asyncpg.Record],
    writes: Sequence[PendingWrite],
    known_users: dict[str, str],
    handoff: Handoff,
) -> tuple[_Decisions, int | None, dict[Claim, bytes]]:
    users = {write.origin.actor_id: write.origin.actor_name for write in writes}
    unknown = {user_id: name for user_id, name in users.items() if known_users.get(user_id) != name}
    if unknown:
        await upsert_users(connection, unknown)
    opened = await open_unit_of_work(
        connection, {write.claim: write.body_hash for write in writes}, [write.command.needs() for write in writes]
    )
    decisions = _Decisions()
    for write in writes:
        stored = opened.stored.get(write.claim)
        if stored is not None:
            _repeat(decisions, write, stored)
            continue
        try:
            outcome = update_stock_with_sync(opened.unit_of_work, write.command, write.origin)
        except PartstreamError as error:
            decisions.rejected.append((write, error))
        else:
            decisions.accepted.append((write, write.encode(outcome)))
    responses = {write.claim: message.SerializeToString() for write, message in decisions.accepted}
    revision = None
    if responses:
        rejected = [write.claim for write, _ in decisions.rejected if write.claim not in opened.stored]
        revision = await write_unit_of_work(
            connection, opened.unit_of_work, rejected=rejected, responses=responses, handoff=handoff
        )
        known_users.update(unknown)
    return decisions, revision, responses


def _repeat(decisions: _Decisions, write: PendingWrite, stored: StoredRequest) -> None:
    if stored.body_hash != write.body_hash:
        decisions.rejected.append((write, request_id_reused(write)))
    else:
        decisions.repeated.append((write, stored))


def _resolve(decisions: _Decisions, revision: int | None, responses: dict[Claim, bytes]) -> None:
    for write, message in decisions.accepted:
        write.resolve(WriteResult(message, responses[write.claim], revision, replayed=False))
    for write, stored in decisions.repeated:
        write.resolve(WriteResult(None, stored.response, stored.revision, replayed=not write.began_commit))
    for write, error in decisions.rejected:
        write.reject(error)
