"""``/admin/events``: entries of a service's change log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from google.protobuf.json_format import MessageToDict
from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from edge.http.representation import reply
from edge.http.timestamps import TimestampText, query_timestamp
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import Described
from edge.routes.dependencies import TheServices
from edge.views.stock import ID_PATTERN
from partstream.changes.v1.change_log_service_pb2 import ListEntriesRequest
from partstream.changes.v1.log_entry_pb2 import LogEntry
from partstream.changes.v1.origin_pb2 import Operation

PartId = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]


class EntryOrigin(msgspec.Struct):
    """Actor, source and reason of a change."""

    actor: str
    actor_id: str
    source: str
    reason: str
    client_ip: str
    request_id: str


class LogEntryView(msgspec.Struct):
    """One entry. ``before`` and ``after`` are the row's columns, ``null`` where there was no row."""

    revision: int
    cursor: str
    entity: str
    entity_id: str
    version: int
    operation: Literal["created", "updated", "deleted"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    details: dict[str, Any] | None
    origin: EntryOrigin
    committed_at: datetime
    traceparent: str


class LogEntryList(msgspec.Struct):
    """A page of the log, oldest first. ``from=cursor`` returns the next one; ``end``: there is none yet."""

    items: list[LogEntryView]
    cursor: str
    end: bool


@get(
    "/events",
    guards=[permits("changes:read")],
    summary="Lists entries of a change log",
    response_description="One page of the change log, oldest first.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_events(
    *,
    services: TheServices,
    service: FromQuery[Literal["inventory", "content"]] = "inventory",
    start: Annotated[str, QueryParameter(name="from", max_length=1000, description="a cursor")] = "",
    since: TimestampText = None,
    part_id: Annotated[list[PartId] | None, QueryParameter(max_items=100, description="may be repeated")] = None,
    entity: Annotated[str, QueryParameter(max_length=64, description="for example `stock_level` or `part`")] = "",
    page_size: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
) -> Response[LogEntryList]:
    """Returns entries after ``from``, else from ``since`` on, else from the oldest retained one."""
    request = ListEntriesRequest(cursor=start, entity=entity, part_ids=part_id or (), page_size=page_size)
    if since is not None:
        request.since.FromDatetime(query_timestamp("since", since))
    if service == "inventory":
        page = await services.call_upstream(services.inventory_log.ListEntries, request)
    else:
        page = await services.call_upstream(services.content_log.ListEntries, request)
    return reply(LogEntryList([_view(entry) for entry in page.entries], page.cursor, page.end))


def _view(entry: LogEntry) -> LogEntryView:
    origin = entry.origin
    return LogEntryView(
        revision=entry.revision,
        cursor=entry.cursor,
        entity=entry.entity,
        entity_id=entry.entity_id,
        version=entry.version,
        operation=Operation.Name(entry.operation).removeprefix("OPERATION_").lower(),  # type: ignore[arg-type]
        before=_columns(entry, "before"),
        after=_columns(entry, "after"),
        details=_columns(entry, "details"),
        origin=EntryOrigin(
            actor=origin.actor.username,
            actor_id=origin.actor.user_id,
            source=origin.source,
            reason=origin.reason,
            client_ip=origin.client_ip,
            request_id=origin.request_id,
        ),
        committed_at=entry.commit_time.ToDatetime(tzinfo=UTC),
        traceparent=entry.traceparent,
    )


def _columns(entry: LogEntry, name: str) -> dict[str, Any] | None:
    if not entry.HasField(name):  # type: ignore[arg-type]
        return None
    columns: dict[str, Any] = _whole(MessageToDict(getattr(entry, name)))
    return columns


def _whole(value: Any) -> Any:
    """Return integers as integers: a protobuf Struct has floats only."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
