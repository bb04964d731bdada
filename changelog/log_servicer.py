"""``ChangeLogService``: the log for operators, and the registry of followers; the same for every service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changelog import cursor as cursors
from changelog.follower_registry import PERMISSION
from changelog.log_reader import SearchPage
from changelog.visibility import READ_PERMISSIONS, Group, groups
from chassis.caller import current_caller, require
from chassis.errors import CursorCompacted, CursorMalformed, EpochChanged
from chassis.timestamps import timestamp_of
from partstream.changes.v1 import change_log_service_pb2 as messages
from partstream.changes.v1 import change_log_service_pb2_grpc, log_entry_pb2, origin_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from changelog.feed import ChangeFeed
    from changelog.follower_registry import FollowerRegistry, RegisteredFollower
    from changelog.log_entry import LogEntry
    from changelog.log_reader import LogReader

    EntityIds: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[str]]]

_DEFAULT_PAGE = 50


class ChangeLogServicer(change_log_service_pb2_grpc.ChangeLogServiceServicer):
    """The servicer of one log."""

    def __init__(
        self,
        reader: LogReader,
        feed: ChangeFeed,
        entity_ids: EntityIds,
        held_by: Callable[[], str | None],
        shown_state: Callable[[str, dict[str, Any]], dict[str, Any]],
        followers: FollowerRegistry,
    ) -> None:
        """``entity_ids`` returns the entity ids of some parts, ``held_by`` the follower that retention waits for.

        ``shown_state`` removes from a row of an entity what no reader may read.
        """
        self._shown_state = shown_state
        self._reader = reader
        self._feed = feed
        self._entity_ids = entity_ids
        self._held_by = held_by
        self._followers = followers

    async def ListEntries(self, request: messages.ListEntriesRequest, _context: Any) -> messages.ListEntriesResponse:  # noqa: N802
        """Return a page of the log."""
        require("changes:read")
        after = await self._start(request)
        size = request.page_size or _DEFAULT_PAGE
        part_ids = [*request.part_ids, *([request.part_id] if request.part_id else [])]
        if part_ids or request.entity:
            head = (await self._reader.head()).revision
            ids = await self._entity_ids(part_ids) if part_ids else None
            found = await self._reader.search(after, head, entity=request.entity, ids=ids, size=size)
        else:
            page = await self._reader.page(after, size)
            reached = page.entries[-1].revision if page.entries else after
            found = SearchPage(page.entries, reached, end=not page.more)
        return messages.ListEntriesResponse(
            entries=[self._message(entry) for entry in found.entries],
            cursor=self._feed.token_for(found.reached),
            end=found.end,
        )

    async def GetLogStatus(  # noqa: N802
        self, _request: messages.GetLogStatusRequest, _context: Any
    ) -> messages.GetLogStatusResponse:
        """Return the bounds of the log, its size and its followers."""
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
        status.followers.extend(map(_follower, await self._followers.listed()))
        return status

    async def RegisterFollower(  # noqa: N802
        self, request: messages.RegisterFollowerRequest, _context: Any
    ) -> messages.RegisterFollowerResponse:
        """Register a follower."""
        caller = require(PERMISSION)
        position = await self._position(request.cursor) if request.cursor else None
        follower = await self._followers.register(request.name, position, caller.username)
        return messages.RegisterFollowerResponse(follower=_follower(follower))

    async def ReportPosition(  # noqa: N802
        self, request: messages.ReportPositionRequest, _context: Any
    ) -> messages.ReportPositionResponse:
        """Store the position of a registered follower."""
        require(PERMISSION)
        await self._followers.report(request.name, await self._position(request.cursor))
        return messages.ReportPositionResponse()

    async def ListFollowers(  # noqa: N802
        self, _request: messages.ListFollowersRequest, _context: Any
    ) -> messages.ListFollowersResponse:
        """Return every registered follower."""
        require("changes:read")
        return messages.ListFollowersResponse(followers=map(_follower, await self._followers.listed()))

    async def RemoveFollower(  # noqa: N802
        self, request: messages.RemoveFollowerRequest, _context: Any
    ) -> messages.RemoveFollowerResponse:
        """Remove a follower."""
        require(PERMISSION)
        await self._followers.remove(request.name)
        return messages.RemoveFollowerResponse()

    async def _position(self, cursor: str) -> cursors.Position:
        position = cursors.position_in(cursor, self._reader.log)
        if position is None:
            message = f"The cursor belongs to another log than {self._reader.log}."
            raise CursorMalformed(message)
        if position.epoch != (await self._reader.head()).epoch:
            message = "The log has a new epoch. Start from its oldest entry."
            raise EpochChanged(message)
        return position

    async def _start(self, request: messages.ListEntriesRequest) -> int:
        oldest = await self._reader.oldest()
        if request.cursor:
            revision = (await self._position(request.cursor)).revision
            if revision < oldest - 1:
                message = "The entries after this cursor are compacted."
                raise CursorCompacted(message, metadata={"oldest_cursor": self._feed.token_for(oldest - 1)})
            return revision
        if request.HasField("since"):
            return await self._reader.revision_before(timestamp_of(request.since, "since"))
        return oldest - 1

    def _shown_states(self) -> tuple[str, ...]:
        """Return the fields with the rows of an entry, for callers who may read the resources of the log."""
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
                shown = value if name == "details" else self._shown_state(entry.entity, value)
                getattr(message, name).update(shown)
        return message


def _follower(follower: RegisteredFollower) -> messages.FollowerPosition:
    message = messages.FollowerPosition(
        name=follower.name,
        revision=follower.revision,
        sent_revision=follower.sent_revision,
        registered_by=follower.registered_by,
        inactive=follower.inactive,
    )
    message.report_time.FromDatetime(follower.reported_at)
    return message
