"""The steps of a start: on a terminal a list that is updated in place, elsewhere one plain line for each."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stack.supervision.merged_log import MergedLog

NAME_WIDTH = 22
OUTCOME_WIDTH = 12  # not finished
REDRAW_SECONDS = 1.0
GREEN, RED, GREY = 32, 31, 90


@dataclass(eq=False, slots=True)
class _Step:
    name: str
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class StartSteps:
    """Shows in ``log`` what has been started, what is being started, and how long it took."""

    def __init__(self, log: MergedLog) -> None:
        self._log = log
        self._running: list[_Step] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do a step: it is ok when the block ends, failed when an error leaves it. Several may run at once."""
        step = _Step(name)
        self._running.append(step)
        self._draw()
        try:
            yield
        except asyncio.CancelledError:
            self._end(step, "not finished", GREY)
            raise
        except BaseException:
            self._end(step, "FAILED", RED)
            raise
        self._end(step, "ok", GREEN)

    def _end(self, step: _Step, outcome: str, colour: int) -> None:
        self._running.remove(step)
        if self._log.in_place:
            self._draw(above=self._line(step, outcome, colour))
        elif outcome == "ok":
            self._log.say(f"{step.name} ready in {step.seconds:.1f} s")
        elif outcome == "FAILED":
            self._log.say(f"{step.name} failed after {step.seconds:.1f} s")

    def _draw(self, *, above: str = "") -> None:
        """Show the running steps with their seconds, now and once a second; ``above`` is one that has ended."""
        if not self._log.in_place:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._log.draw([self._line(step, "...", GREY) for step in self._running], above=above)
        if self._running:
            self._timer = asyncio.get_running_loop().call_later(REDRAW_SECONDS, self._draw)

    def _line(self, step: _Step, outcome: str, colour: int) -> str:
        name, seconds = f"  {step.name:<{NAME_WIDTH}} ", f" {step.seconds:6.1f} s"
        outcome = f"{outcome:<{OUTCOME_WIDTH}}"
        # A line that the terminal breaks would be two to go back over.
        if (package := self._log.columns - 1) < len(name + outcome + seconds):
            return f"{name}{outcome}{seconds}"[:package]
        return f"{name}{self._log.painted(outcome, colour)}{seconds}"
