"""How fresh a follower is: up to which moment it has certainly applied everything that was committed.

Each message says which revision was the newest when it was sent. Once that revision is applied, what this process holds
is as of the moment the message came; no clock of another machine takes part.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SPACING_SECONDS = 0.25  # between remembered messages; a follower far behind gets hundreds a second
MOST_REMEMBERED = 1000  # four minutes; further behind nothing is answered from memory anyway


class Freshness:
    """Of one log in this process."""

    def __init__(self, is_connected: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was heard yet."""
        self._is_connected = is_connected
        self._clock = clock
        self._open: deque[tuple[int, float]] = deque(maxlen=MOST_REMEMBERED)
        self._as_of = float("-inf")

    @property
    def is_connected(self) -> bool:
        """Whether the stream is open."""
        return self._is_connected()

    def heard(self, reached: int, newest: int) -> None:
        """A message was applied up to ``reached`` when the log's newest revision was ``newest``."""
        now = self._clock()
        if newest <= reached:
            self._as_of = now
            self._open.clear()
            return
        if not self._open or now - self._open[-1][1] >= SPACING_SECONDS:
            self._open.append((newest, now))
        self.reached(reached)

    def reached(self, reached: int) -> None:
        """Everything up to a revision is applied."""
        while self._open and self._open[0][0] <= reached:
            self._as_of = self._open.popleft()[1]

    def age_seconds(self) -> float:
        """Everything committed longer ago than this is applied here; infinite before the first message."""
        return self._clock() - self._as_of
