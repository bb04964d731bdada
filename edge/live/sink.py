"""Where the follower of a log hands its changes to the sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changelog import cursor as cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from changelog.follower import ChangeBatch
    from edge.live.publisher import EventPublisher


class LiveSink:
    """The end of one follower's chain of sinks."""

    def __init__(self, publisher: EventPublisher, log: str) -> None:
        """Feed the publisher with a log."""
        self._publisher = publisher
        self._log = log

    async def position(self) -> str:
        """From now on: nobody can be owed anything by a process that has just begun."""
        return ""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Begin anew; clients come again and take snapshots."""
        self._publisher.begin(cursors.decode(cursor)[self._log])

    async def apply(self, batch: ChangeBatch) -> None:
        """Publish."""
        self._publisher.publish(self._log, batch)
