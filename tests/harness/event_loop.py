"""The event loop of a test: as production's, but what comes for it after its end is dropped.

gRPC has one poller for a process. A call that a test left under way ends after that test's loop, and the poller hands
its event over in the loop of the next test, where the closed loop's refusal would be taken for a failure.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple, Unpack

Arguments = TypeVarTuple("Arguments")


class LenientLoop(asyncio.SelectorEventLoop):
    """Takes a callback from another thread when it is closed, and forgets it."""

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call it in this loop, or not at all if the loop is closed."""
        if self.is_closed():
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon_threadsafe(callback, *args, context=context)
