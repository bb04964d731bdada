"""The operators' view of a service's log, the same for every service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.caller import current_caller, require
from chassis.changes import cursor as cursors
from chassis.changes.log_search import Found
from chassis.errors import CursorCompacted, CursorMalformed, EpochChanged
from chassis.timestamps import moment
from chassis.visibility import READ_PERMISSIONS, Group, groups
from partstream.changes.v1 import change_log_service_pb2 as messages
from partstream.changes.v1 import change_log_service_pb2_grpc, log_entry_pb2, origin_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from chassis.changes.feed import ChangeFeed
    from chassis.changes.log_entry import LogEntry
    from chassis.changes.log_reader import LogReader
    from chassis.changes.log_search import LogSearch

    EntityIds: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[str]]]

_DEFAULT_PAGE = 50


class ChangeLogServicer(change_log_service_pb2_grpc.ChangeLogServiceServicer):
    """Serves one log."""

    def __init__(
        self,
        reader: LogReader,
        search: LogSearch,
        feed: ChangeFeed,
        entity_ids: EntityIds,
        held_by: Callable[[], str | None],
    ) -> None:
        """``entity_ids`` answers under which ids entries of some parts are, ``held_by`` who holds retention back."""
        self._reader = reader
        self._search = search
        self._feed = feed
        self._entity_ids = entity_ids
        self._held_by = held_by

    async def ListEntries(self, request: messages.ListEntriesRequest, _context: Any) -> messages.ListEntriesResponse:  # noqa: N802
        """Page through the log."""
        require("changes:read")
        after = await self._start(request)
        size = request.page_size or _DEFAULT_PAGE
        part_ids = [*request.part_ids, *([request.part_id] if request.part_id else [])]
        if part_ids or request.entity:
            head = (await self._reader.head()).revision
            ids = await self._entity_ids(part_ids) if part_ids else None
            found = await self._search.page(after, head, entity=request.entity, ids=ids, size=size)
        else:
            page = await self._reader.page(after, size)
            reached = page.entries[-1].revision if page.entries else after
            found = Found(page.entries, reached, end=not page.more)
        return messages.ListEntriesResponse(
            entries=[self._message(entry) for entry in found.entries],
            cursor=self._feed.token_for(found.reached),
            end=found.end,
        )

    async def GetLogStatus(  # noqa: N802
        self, _request: messages.GetLogStatusRequest, _context: Any
    ) -> messages.GetLogStatusResponse:
        """Answer what the log holds and who depends on it."""
        require("changes:read")
        head = await self._reader.head()
        status = messages.GetLogStatusResponse(
            log=self._reader.log,
            epoch=str(head.epoch),
            head_revision=head.revision,
            oldest_revision=await self._reader.oldest(),
            head_cursor=cursors.encode(head),
            disk_bytes=await self._reader.disk_bytes(),
            open_watches=self._feed.watchers,
            held_by=self._held_by() or "",
        )
        for name, revision, reported_at in await self._reader.followers():
            position = status.followers.add(name=name, revision=revision)
            position.report_time.FromDatetime(reported_at)
        return status

    async def ReportPosition(  # noqa: N802
        self, request: messages.ReportPositionRequest, _context: Any
    ) -> messages.ReportPositionResponse:
        """Register how far a follower has come."""
        require("changes:read")
        position = await self._position(request.cursor)
        await self._reader.report(request.name, position)
        return messages.ReportPositionResponse()

    async def _position(self, cursor: str) -> cursors.Position:
        position = cursors.position_in(cursor, self._reader.log)
        if position is None:
            message = f"The cursor is not one of the {self._reader.log} log."
            raise CursorMalformed(message)
        if position.epoch != (await self._reader.head()).epoch:
            message = "The log has begun a new epoch."
            raise EpochChanged(message)
        return position

    async def _start(self, request: messages.ListEntriesRequest) -> int:
        oldest = await self._reader.oldest()
        if request.cursor:
            revision = (await self._position(request.cursor)).revision
            if revision < oldest - 1:
                message = "Entries after this cursor are no longer kept."
                raise CursorCompacted(message, metadata={"oldest_cursor": self._feed.token_for(oldest - 1)})
            return revision
        if request.HasField("since"):
            return await self._reader.revision_before(moment(request.since, "since"))
        return oldest - 1

    def _shown_states(self) -> tuple[str, ...]:
        """Fields with the rows of an entry: they are for those who may read what the log is of."""
        log = self._reader.log
        is_reader = log not in READ_PERMISSIONS or Group.STAFF in groups(current_caller(), log)
        return ("before", "after", "details") if is_reader else ()

    def _message(self, entry: LogEntry) -> log_entry_pb2.LogEntry:
        message = log_entry_pb2.LogEntry(
            revision=entry.revision,
            entity=entry.entity,
            entity_id=entry.entity_id,
            version=entry.version,
            operation=origin_pb2.Operation.Value(f"OPERATION_{entry.operation.upper()}"),
            traceparent=entry.traceparent,
            cursor=self._feed.token_for(entry.revision),
            origin=origin_pb2.Origin(
                actor=origin_pb2.Actor(user_id=entry.actor, username=entry.actor_name),
                source=entry.source,
                reason=entry.reason,
                client_ip=entry.client_ip,
                request_id=entry.request_id,
            ),
        )
        message.commit_time.FromDatetime(entry.committed_at)
        for name in self._shown_states():
            value = getattr(entry, name)
            if value is not None:
                getattr(message, name).update(value)
        return message
