"""The audit trail, as a restore of a log sees it: has it the last entries, and if not, which does it lack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from uuid import UUID

import asyncpg

from tasks.audit.endings import Ending, describe_missing, record_ending
from tasks.audit.queries import position_of

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any

CONNECT_SECONDS = 5.0
UNREACHABLE = "the audit trail cannot be reached: which of the last entries it lacks is not known"


class RestoredTrail:
    """``stack.servers.audit_drain.TrailOfLog`` over the audit database; an outage of that holds no restore up."""

    def __init__(self, audit_dsn: str, service: str, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self.report = UNREACHABLE
        self.is_incomplete = False
        self._dsn = audit_dsn
        self._service = service
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    def __enter__(self) -> Self:
        self._connection = self._run(
            asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._runner.close()

    def holds(self, epoch: str, revision: int) -> bool:
        """Whether the trail has everything up to a revision; true also when it cannot be asked."""
        stored = self._stored(epoch)
        return self._connection is None or stored >= revision

    def ended(self, epoch: str, revision: int, continued_after: int) -> None:
        """Note the end of the epoch in the trail, and report what it lacks."""
        ending = Ending(self._service, UUID(epoch), revision, continued_after)
        missing = ending.missing(self._stored(epoch))
        if self._connection is not None:
            self._run(record_ending(self._connection, ending))
        if self._connection is None:
            return
        self.is_incomplete = bool(missing)
        self.report = (
            f"WARNING: the audit trail is incomplete: {describe_missing(missing, ending.epoch)}"
            if missing
            else "the audit trail has every entry of the epoch before"
        )

    def _stored(self, epoch: str) -> int:
        if self._connection is None:
            return 0
        position = self._run(position_of(self._connection, self._service))
        return position.revision if position is not None and str(position.epoch) == epoch else 0

    def _run(self, action: Coroutine[Any, Any, Any]) -> Any:
        """Run one step; the trail counts as unreachable from the first one that fails."""
        try:
            return self._runner.run(action)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection = None
            return None
