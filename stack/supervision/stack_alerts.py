"""Alerts of the supervisor: what only it sees, because it starts the servers."""

import logging
from pathlib import Path

from chassis.background import BackgroundService
from stack.servers.redis_files import quarantined
from stack.supervision.merged_log import MergedLog
from tasks.alerts.reporter import Alerts

ALERT = "redis_files_quarantined"
UNRESPONSIVE = "process_unresponsive"
UNRESPONSIVE_SHOWN_SECONDS = 600.0  # what was restarted needs no action by itself, and is not to be overlooked
INTERVAL_SECONDS = 5.0


class StackAlerts(BackgroundService):
    """Reports folders of Redis files that were moved aside, for as long as they are there."""

    def __init__(self, redis_folder: Path, database_url: str, log: MergedLog) -> None:
        """Store in the edge's database; lines go to the log of the stack."""
        super().__init__("stack-alerts", INTERVAL_SECONDS)
        self.alerts = Alerts("supervisor", database_url)
        self._folder = redis_folder
        self._handler = _ToMergedLog(log)

    def start(self) -> None:
        """Look in the background."""
        logger = logging.getLogger("partstream.alerts")
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        self.alerts.start()
        super().start()

    async def stop(self) -> None:
        """Stop looking; what is firing is stored as resolved."""
        await super().stop()
        await self.alerts.stop()
        logging.getLogger("partstream.alerts").removeHandler(self._handler)

    async def run_once(self) -> None:
        """Look whether there are such folders."""
        found = quarantined(self._folder)
        if found:
            self.alerts.fire(ALERT, "redis", f"moved to {', '.join(path.name for path in found)} in the data folder")
        else:
            self.alerts.resolve(ALERT, "redis")


class _ToMergedLog(logging.Handler):
    """The supervisor has no log of its own."""

    def __init__(self, log: MergedLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.say(record.getMessage())
