"""Calls to the services that survive a restart: the same request is retried until there is a response.

Safe only because every write carries a request id that the service claims together with the effect.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

import grpc

from chassis import errors
from chassis.rich_status import from_rpc_error
from stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

ResponseT = TypeVar("ResponseT")

CALL_SECONDS = 30.0  # a batch of 1,000 takes about 0.1 s; a database that restarts holds one up for seconds
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0

log = logging.getLogger(__name__)


class RetriesExhausted(StackError):
    """A service was unavailable for longer than the retry time of the command."""


class RetryingCalls:
    """Retries requests until there is a response, at most `retry_seconds` after the last response of any request."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._last_response = time.monotonic()
        self.repeats = 0

    async def __call__(self, method: Callable[..., Awaitable[ResponseT]], request: Message) -> ResponseT:
        """Return the response; raise ``PartstreamError`` if it is final, ``RetriesExhausted`` after the retry time."""
        attempt = 0
        started = time.monotonic()
        while True:
            try:
                response = await method(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as rpc_error:
                error = from_rpc_error(rpc_error)
                if not _is_retryable(error):
                    self._last_response = time.monotonic()
                    raise error from rpc_error
                self._give_up_in_time(max(started, self._last_response), error)
                attempt += 1
                self.repeats += 1
                await asyncio.sleep(_wait(attempt, error))
            else:
                self._last_response = time.monotonic()
                return response

    def _give_up_in_time(self, since: float, error: errors.PartstreamError) -> None:
        if time.monotonic() - since > self._retry_seconds:
            message = (
                f"No response for {self._retry_seconds:.0f} s: {error.message} Run the same command again to resume."
            )
            raise RetriesExhausted(message) from error


def _is_retryable(error: errors.PartstreamError) -> bool:
    """Return whether a retry may succeed: the service is unavailable, overloaded or failed unexpectedly."""
    return isinstance(
        error,
        errors.Unavailable | errors.DeadlinePassed | errors.Overloaded | errors.TokenExpired | errors.InternalFault,
    )


def _wait(attempt: int, error: errors.PartstreamError) -> float:
    """Full jitter under a doubling bound; at least what the service asked for."""
    bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))
    asked = error.retry_after_seconds or 0.0 if isinstance(error, errors.Overloaded) else 0.0
    return max(asked, random.uniform(0, bound))  # noqa: S311 - spreads retries, guards nothing
