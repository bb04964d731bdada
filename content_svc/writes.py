"""The frame of every write: one transaction, the request id claimed before the effect, the log closed at the end."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import asyncpg

from changelog.handoff import Handoff
from chassis.caller import current_request
from chassis.database import TransactionManager, WriteContext
from chassis.errors import RequestIdReused
from chassis.store_errors import CONFLICT
from content_svc.errors import from_constraint
from content_svc.sql import writes as sql

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Two imports of the same new parts can wait for each other in a circle; the database then ends one of them.
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Command:
    """What makes a write repeatable: its id (``None`` = it is not to be), the hash of all it says; and its reason."""

    request_id: uuid.UUID | None
    body_hash: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer(Generic[ResultT]):
    """Either a result, or the stored answer of the first attempt; and a revision that covers all it says."""

    revision: int | None
    result: ResultT | None = None
    stored: bytes | None = None
    wrote: bool = True


class Writes:
    """Runs effects once."""

    def __init__(
        self,
        transactions: TransactionManager,
        begin_handoff: Callable[[], Handoff],
        committed: Callable[[Handoff], None],
    ) -> None:
        """``committed`` is called after each commit that wrote to the log, with what that hands over."""
        self._transactions = transactions
        self._begin_handoff = begin_handoff
        self._committed = committed

    async def once(
        self,
        command: Command,
        effect: Callable[[Connection], Awaitable[ResultT]],
        encode: Callable[[ResultT], bytes],
    ) -> Answer[ResultT]:
        """Run an effect in a transaction, or answer what it answered before; ``encode`` makes the answer to store.

        Raises ``RequestIdReused`` when the id came with another body, and whatever the effect or the database's rules
        say; then nothing was written, the claim included.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            handoff = self._begin_handoff()
            try:
                answer = await self._attempt(command, effect, encode, handoff)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                log.info("attempt %d of a write met another one: %s", attempt, type(error).__name__)
                continue
            except asyncpg.IntegrityConstraintViolationError as error:
                raise from_constraint(error) from error
            if answer.wrote:
                self._committed(handoff)
            return answer
        raise CONFLICT.error()

    async def _attempt(
        self,
        command: Command,
        effect: Callable[[Connection], Awaitable[ResultT]],
        encode: Callable[[ResultT], bytes],
        handoff: Handoff,
    ) -> Answer[ResultT]:
        context = _write_context(command)
        async with self._transactions.begin(context) as connection:
            if command.request_id is not None:
                claim = f"user:{context.actor_id}", command.request_id
                first = await connection.fetchval(sql.CLAIM_REQUEST, *claim, command.body_hash)
                if first is None:
                    return await _stored_answer(connection, claim, command.body_hash)
            await connection.execute(sql.RECORD_USER, uuid.UUID(context.actor_id), context.actor_name)
            result = await effect(connection)
            if command.request_id is not None:
                await connection.execute(sql.ANSWER_REQUEST, *claim, encode(result))
            revision = await handoff.seal(connection)
            if revision is None:
                return Answer(await connection.fetchval(sql.LOG_REVISION), result, wrote=False)
            return Answer(revision, result)


def _write_context(command: Command) -> WriteContext:
    request = current_request()
    return WriteContext(
        actor_id=request.caller.user_id,
        actor_name=request.caller.username,
        client_ip=request.caller.client_ip,
        request_id=str(command.request_id or request.request_id),
        traceparent=request.traceparent,
        reason=command.reason,
    )


async def _stored_answer(connection: Connection, claim: tuple[str, uuid.UUID], body_hash: bytes) -> Answer[ResultT]:
    row = await connection.fetchrow(sql.CLAIMED_REQUEST, *claim)
    if row is None:
        message = "The earlier attempt is no longer kept: use a new request_id."
        raise RequestIdReused(message)
    if row["body_hash"] != body_hash:
        message = "This request_id was used before for something else."
        raise RequestIdReused(message, metadata={"request_id": str(claim[1])})
    return Answer(row["log_revision"], stored=row["response"], wrote=False)
