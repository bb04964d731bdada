"""The transaction of every write: claim the request id, record the caller, run the effect, store the response."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

import asyncpg

from changelog.handoff import Handoff
from chassis.background import Backoff
from chassis.caller import current_request
from chassis.database import TransactionManager, WriteContext
from chassis.errors import RequestIdReused
from chassis.retry import retry
from chassis.store_errors import CONFLICT
from content_svc.errors import from_constraint
from content_svc.sql import STATEMENTS

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Two imports of the same new parts can wait for each other in a circle; the database then aborts one of them.
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What identifies a repeated write: its request id, ``None`` without one, and the hash of its body; its reason."""

    request_id: uuid.UUID | None
    body_hash: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WriteResult(Generic[ResultT]):
    """Either a result or the stored response of an earlier request, and the revision that covers it."""

    revision: int | None
    result: ResultT | None = None
    stored_response: bytes | None = None
    wrote: bool = True


class WriteTransactions:
    """Runs each effect at most once per request id."""

    def __init__(
        self,
        transactions: TransactionManager,
        begin_handoff: Callable[[], Handoff],
        committed: Callable[[Handoff], None],
    ) -> None:
        """``committed`` receives the hand-off of each commit that wrote to the change log."""
        self._transactions = transactions
        self._begin_handoff = begin_handoff
        self._committed = committed

    async def run_once(
        self,
        request: WriteRequest,
        effect: Callable[[Connection], Awaitable[ResultT]],
        encode: Callable[[ResultT], bytes],
    ) -> WriteResult[ResultT]:
        """Run an effect in a transaction, or return the stored response; ``encode`` returns the response to store.

        Raise ``RequestIdReused`` for the same id with another body, and what the effect or a constraint raises; then
        nothing is written, not even the claim of the request id.
        """
        attempts = 0

        def report(error: Exception, _: float) -> None:
            nonlocal attempts
            attempts += 1
            log.info("write conflict attempt=%d error=%s", attempts, type(error).__name__)
            if attempts == _ATTEMPTS:
                raise CONFLICT.error() from error

        try:
            return await retry(
                lambda: self._attempt(request, effect, encode),
                (asyncpg.DeadlockDetectedError, asyncpg.SerializationError),
                Backoff(0.005, 0.05),
                report,
            )
        except asyncpg.IntegrityConstraintViolationError as error:
            raise from_constraint(error) from error

    async def _attempt(
        self,
        request: WriteRequest,
        effect: Callable[[Connection], Awaitable[ResultT]],
        encode: Callable[[ResultT], bytes],
    ) -> WriteResult[ResultT]:
        handoff = self._begin_handoff()
        result = await self._in_transaction(request, effect, encode, handoff)
        if result.wrote:
            self._committed(handoff)
        return result

    async def _in_transaction(
        self,
        request: WriteRequest,
        effect: Callable[[Connection], Awaitable[ResultT]],
        encode: Callable[[ResultT], bytes],
        handoff: Handoff,
    ) -> WriteResult[ResultT]:
        context = _write_context(request)
        async with self._transactions.begin(context) as connection:
            if request.request_id is not None:
                claim = f"user:{context.actor_id}", request.request_id
                if await connection.fetchval(STATEMENTS["claim_request"], *claim, request.body_hash) is None:
                    return await _replay(connection, claim, request.body_hash)
            await connection.execute(STATEMENTS["record_user"], uuid.UUID(context.actor_id), context.actor_name)
            result = await effect(connection)
            if request.request_id is not None:
                await connection.execute(STATEMENTS["store_response"], *claim, encode(result))
            revision = await handoff.seal(connection)
            if revision is None:
                return WriteResult(await connection.fetchval(STATEMENTS["select_revision"]), result, wrote=False)
            return WriteResult(revision, result)


def _write_context(request: WriteRequest) -> WriteContext:
    context = current_request()
    return WriteContext(
        actor_id=context.caller.user_id,
        actor_name=context.caller.username,
        client_ip=context.caller.client_ip,
        request_id=str(request.request_id or context.request_id),
        traceparent=context.traceparent,
        reason=request.reason,
    )


async def _replay(connection: Connection, claim: tuple[str, uuid.UUID], body_hash: bytes) -> WriteResult[ResultT]:
    row = await connection.fetchrow(STATEMENTS["select_request"], *claim)
    if row is None:
        message = "The stored response of this request_id has expired. Use a new request_id."
        raise RequestIdReused(message)
    if row["body_hash"] != body_hash:
        message = "This request_id was used with another request body. Use a new request_id."
        raise RequestIdReused(message, metadata={"request_id": str(claim[1])})
    return WriteResult(row["log_revision"], stored_response=row["response"], wrote=False)
