"""Calls to the services that outlast a restart: a request is sent again until a service returns a response.

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

CALL_SECONDS = 30.0  # a batch of 1,000 takes about 0.1 s; a database that restarts delays one for seconds
FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 2.0

log = logging.getLogger(__name__)


class RetriesExhausted(StackError):
    """A service was unavailable for longer than the command retries."""


class RetryingCalls:
    """Retries calls until there has been no response from the service for `retry_seconds`."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._last_response = time.monotonic()
        self.repeats = 0

    async def __call__(self, method: Callable[..., Awaitable[ResponseT]], request: Message) -> ResponseT:
        """Return the response. Raises a permanent error as PartstreamError, and RetriesExhausted."""
        attempt = 0
        started = time.monotonic()
        while True:
            try:
                response = await method(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as fault:
                error = from_rpc_error(fault)
                if not _is_transient(error):
                    self._last_response = time.monotonic()
                    raise error from fault
                self._check_time(max(started, self._last_response), error)
                attempt += 1
                self.repeats += 1
                await asyncio.sleep(_backoff(attempt, error))
            else:
                self._last_response = time.monotonic()
                return response

    def _check_time(self, since: float, error: errors.PartstreamError) -> None:
        if time.monotonic() - since > self._retry_seconds:
            message = (
                f"No response for {self._retry_seconds:.0f} s: {error.message} Run the same command again to resume."
            )
            raise RetriesExhausted(message) from error


def _is_transient(error: errors.PartstreamError) -> bool:
    return isinstance(
        error,
        errors.Unavailable | errors.DeadlinePassed | errors.Overloaded | errors.TokenExpired | errors.InternalFault,
    )


def _backoff(attempt: int, error: errors.PartstreamError) -> float:
    """Return a wait with full jitter under a doubling bound, and at least the Retry-After of the service."""
    bound = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 10))
    retry_after = error.retry_after_seconds or 0.0 if isinstance(error, errors.Overloaded) else 0.0
    return max(retry_after, random.uniform(0, bound))  # noqa: S311 - spreads retries, guards nothing
