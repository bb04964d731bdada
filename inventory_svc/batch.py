"""One batch: many requests decided and written in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chassis.errors import PartstreamError
from inventory_svc.commands import open_book, upsert_users, write_book
from inventory_svc.domain.decide import decide
from inventory_svc.job import Answer, reused
from inventory_svc.lone_change import commit_lone_change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import asyncpg

    from changelog.handoff import Handoff
    from inventory_svc.commands import Taken
    from inventory_svc.job import Claim, Job, Serialisable


@dataclass(slots=True)
class _Decided:
    """What the rules made of a batch."""

    messages: list[tuple[Job, Serialisable]] = field(default_factory=list)
    kept: list[tuple[Job, Taken]] = field(default_factory=list)
    refused: list[tuple[Job, PartstreamError]] = field(default_factory=list)


async def run_batch(
    connection: asyncpg.Connection[asyncpg.Record],
    jobs: Sequence[Job],
    known_users: dict[str, str],
    on_commit: Callable[[], None],
    handoff: Handoff,
) -> None:
    """Decide and commit; then answer every job. Raises what the database raises, with nothing answered.

    ``known_users`` remembers who has a row in ``users`` already. ``on_commit`` is called first after a commit that
    changed something: whoever watches waits for it longer than the callers.
    ``handoff`` keeps what the statements read back of the log, until then.
    """
    if len(jobs) == 1:
        alone = await commit_lone_change(connection, jobs[0], known_users, handoff)
        if alone is not None:
            on_commit()
            jobs[0].answer(Answer(alone.message, alone.kept, alone.revision, replayed=False))
            return
    await connection.execute("BEGIN")
    try:
        decided, revision, answers = await _decide_and_write(connection, jobs, known_users, handoff)
        if not answers:
            await connection.execute("ROLLBACK")
        else:
            for job, _ in decided.messages:
                job.began_commit = True
            await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    if revision is not None:
        on_commit()
    _tell(decided, revision, answers)


async def _decide_and_write(
    connection: asyncpg.Connection[asyncpg.Record], jobs: Sequence[Job], known_users: dict[str, str], handoff: Handoff
) -> tuple[_Decided, int | None, dict[Claim, bytes]]:
    users = {job.origin.actor_id: job.origin.actor_name for job in jobs}
    unknown = {user_id: name for user_id, name in users.items() if known_users.get(user_id) != name}
    if unknown:
        await upsert_users(connection, unknown)
    opened = await open_book(
        connection, {job.claim: job.body_hash for job in jobs}, [job.intent.needs() for job in jobs]
    )
    decided = _Decided()
    for job in jobs:
        taken = opened.taken.get(job.claim)
        if taken is not None:
            _compare(decided, job, taken)
            continue
        try:
            outcome = decide(opened.book, job.intent, job.origin)
        except PartstreamError as error:
            decided.refused.append((job, error))
        else:
            decided.messages.append((job, job.encode(outcome)))
    answers = {job.claim: message.SerializeToString() for job, message in decided.messages}
    revision = None
    if answers:
        refused = [job.claim for job, _ in decided.refused if job.claim not in opened.taken]
        revision = await write_book(connection, opened.book, refused=refused, answers=answers, handoff=handoff)
        known_users.update(unknown)
    return decided, revision, answers


def _compare(decided: _Decided, job: Job, taken: Taken) -> None:
    if taken.body_hash != job.body_hash:
        decided.refused.append((job, reused(job)))
    else:
        decided.kept.append((job, taken))


def _tell(decided: _Decided, revision: int | None, answers: dict[Claim, bytes]) -> None:
    for job, message in decided.messages:
        job.answer(Answer(message, answers[job.claim], revision, replayed=False))
    for job, taken in decided.kept:
        job.answer(Answer(None, taken.response, taken.revision, replayed=not job.began_commit))
    for job, error in decided.refused:
        job.refuse(error)
