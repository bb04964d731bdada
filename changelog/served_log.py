"""Everything a service runs for its log: reader, feed, notifications, partitions, the log for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changelog.feed import ChangeFeed
from changelog.follower_registry import FollowerRegistry
from changelog.handoff import Handoff
from changelog.log_reader import LogReader
from changelog.log_servicer import ChangeLogServicer
from changelog.maintenance import LogMaintenance, LogRetention
from changelog.notify import ChangeNotifier
from changelog.window import WINDOW_BYTES
from partstream.changes.v1.change_log_service_pb2_grpc import add_ChangeLogServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from changelog.log_entry import LogEntry
    from changelog.log_servicer import EntityIds
    from chassis.database import Database


class ServedLog:
    """One service's log in one process."""

    def __init__(  # noqa: PLR0913 - what differs between the logs of the services
        self,
        database: Database,
        dsn: str,
        name: str,
        encode: Callable[[LogEntry, str], bytes],
        keys: Callable[[LogEntry], frozenset[str]],
        entity_ids: EntityIds,
        retention: LogRetention,
        *,
        window_bytes: int = WINDOW_BYTES,
        shown_state: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda _entity, state: state,
    ) -> None:
        """Construct on an open database; notifications use a connection of their own to ``dsn``.

        ``shown_state`` removes from a row of an entity what not even operators may read.
        """
        reader = LogReader(database, name)
        self.feed = ChangeFeed(reader, encode, keys, max_window_bytes=window_bytes)
        self.handoff = self.begin_handoff()
        self._notifier = ChangeNotifier(dsn, self.feed.wake)
        self._maintenance = LogMaintenance(database, name, retention)
        self._followers = self.feed.followers = FollowerRegistry(database, reader, retention.hold_for)
        self._servicer = ChangeLogServicer(
            reader,
            self.feed,
            entity_ids,
            lambda: self._maintenance.held_by,
            shown_state,
            self._followers,
        )

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the log to operators."""
        add_ChangeLogServiceServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Load the window, then tail, listen and maintain in the background."""
        await self.feed.start()
        self._notifier.start()
        self._maintenance.start()
        self._followers.start()

    async def stop(self) -> None:
        """Stop all of it."""
        await self._followers.stop()
        await self._maintenance.stop()
        await self._notifier.stop()
        await self.feed.stop()

    async def drain(self) -> None:
        """End every watch."""
        self.feed.drain()

    def begin_handoff(self) -> Handoff:
        """Return the hand-off of one transaction, for a service with several concurrent ones."""
        return Handoff(lambda: self.feed.tailer.takes_from)

    def committed(self, handoff: Handoff | None = None) -> None:
        """Serve committed entries to this process's watchers now, and notify the other replicas soon."""
        if not self.feed.take((handoff or self.handoff).take()):
            self.feed.wake()
        self._notifier.committed()
