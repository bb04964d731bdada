"""The retry loop: repeat an operation after failures that end without a change to the code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chassis.background import Backoff

T = TypeVar("T")


async def retry(
    operation: Callable[[], Awaitable[T]],
    failures: type[Exception] | tuple[type[Exception], ...],
    backoff: Backoff,
    report: Callable[[Exception, float], None] | None = None,
) -> T:
    """Return the result of an operation, repeated with back-off after each failure of the given classes.

    ``report`` receives the failure and the seconds until the next attempt; what it raises ends the attempts. An
    operation that runs permanently resets the back-off itself once it works.
    """
    while True:
        try:
            return await operation()
        except failures as error:
            pause = backoff.next()
            if report is not None:
                report(error, pause)
        await asyncio.sleep(pause)
