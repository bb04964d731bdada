"""Replays one movements file from where the run stands to its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from cli.replay.movements import FinalLevels

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cli.replay.movements import MovementsFile, Snapshot
    from cli.replay.player import Player
    from cli.replay.report import ReplayReport
    from stack.service_calls.run_journal import RunJournal

SAVE_EVERY_SECONDS = 0.5  # a resumed run repeats requests, which the service applies once


class Pace:
    """Holds snapshots back so that time passes `speed` times as fast as in the file; None = as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._began: tuple[datetime, float] | None = None

    async def wait_for(self, moment: datetime) -> None:
        """Return when the snapshot of this moment is due."""
        if self._speed is None:
            return
        if self._began is None:
            self._began = moment, time.monotonic()
        first, started = self._began
        due = started + (moment - first).total_seconds() / self._speed
        await asyncio.sleep(max(0.0, due - time.monotonic()))


class Replayer:
    """Plays the snapshots that the journal does not know as done, and keeps the journal up to date."""

    def __init__(self, player: Player, journal: RunJournal, report: ReplayReport, pace: Pace) -> None:
        self._player = player
        self._journal = journal
        self._report = report
        self._pace = pace
        self._done = int(journal.progress.get("snapshots_done", 0))
        report.counts = Counter(journal.progress.get("counts", {}))
        report.seconds_before = float(journal.progress.get("seconds", 0.0))
        report.begin(int(journal.progress.get("refusals_size", 0)))
        self._started = self._saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on the run, earlier starts included."""
        return self._report.seconds_before + time.monotonic() - self._started

    async def run(self, file: MovementsFile, progress: Callable[[int, int], None]) -> FinalLevels:
        """Replay the file; return the expected levels. `progress` receives bytes and rows."""
        final = FinalLevels()
        for snapshot in file.snapshots():
            final.take(snapshot)
            if snapshot.number >= self._done:
                await self._play(snapshot)
            progress(file.position, self._report.counts["rows"])
        self._save()
        return final

    async def _play(self, snapshot: Snapshot) -> None:
        await self._pace.wait_for(snapshot.time)
        await self._player.play(snapshot)
        self._done = snapshot.number + 1
        if time.monotonic() - self._saved >= SAVE_EVERY_SECONDS:
            self._save()

    def _save(self) -> None:
        self._journal.progress = {
            "snapshots_done": self._done,
            "counts": dict(self._report.counts),
            "seconds": self.seconds,
            "refusals_size": self._report.refusals_size,
        }
        self._journal.save()
        self._saved = time.monotonic()
