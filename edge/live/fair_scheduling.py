"""Whose turn it is to send: a change that thousands get must not keep everything else in this process waiting.

An event loop runs all that is ready before it looks for anything new. Ten thousand sockets woken at once would be ten
thousand frames before the next request is read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

SOCKETS_A_ROUND: Final = 64  # some milliseconds of sending


class FairScheduler:
    """Wakes so many sockets in one round of the loop, and the others in the following ones, first come first served.

    Whoever waits for its turn goes on conflating: it is late by the time that those before it take, not by what comes.
    """

    def __init__(self, sockets_a_round: int = SOCKETS_A_ROUND) -> None:
        """Nobody waits."""
        self._most = self._left = sockets_a_round
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._is_counting = False

    def wake(self, sleeper: asyncio.Future[None]) -> None:
        """Give the future its result now, or as soon as it is its turn."""
        if sleeper.done():
            return
        if self._left:
            self._left -= 1
            sleeper.set_result(None)
        else:
            self._waiting[sleeper] = None
        self._count()

    def _count(self) -> None:
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._is_counting = False
        self._left = self._most
        while self._waiting and self._left:
            sleeper, _ = self._waiting.popitem(last=False)
            if not sleeper.done():  # its client has left
                sleeper.set_result(None)
                self._left -= 1
        if self._left < self._most:
            self._count()
