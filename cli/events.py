"""``./partstream events``: the change log for people - what changed, when, by whom and why, from any point on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import MessageToDict, MessageToJson

from changelog.sources import PartSource, StockSource
from chassis.channels import open_channel
from chassis.errors import CursorMalformed, PartstreamError
from chassis.logs import visible
from chassis.rich_status import from_rpc_error
from chassis.timestamps import TimestampMalformed, TimestampOutOfRange, parse_timestamp
from chassis.tokens import ServiceToken
from partstream.changes.v1 import change_log_service_pb2, change_log_service_pb2_grpc, origin_pb2
from stack import stack_state
from stack.service_calls.service_access import service_settings

if TYPE_CHECKING:
    from partstream.changes.v1.log_entry_pb2 import LogEntry

_PAGE = 500
_BOOKMARK_SECONDS = 5.0
_SIGNS = {"OPERATION_CREATED": "+", "OPERATION_UPDATED": "~", "OPERATION_DELETED": "-"}
_UNINTERESTING = frozenset({"updated_at", "version", "last_updated_by", "updated_by"})


def run(given: argparse.Namespace) -> int:
    """Print entries; with ``--follow`` until interrupted."""
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            asyncio.run(_print_entries(given))
        except grpc.aio.AioRpcError as error:
            print(_formatted(from_rpc_error(error)), file=sys.stderr)
            return 1
        except PartstreamError as error:
            print(_formatted(error), file=sys.stderr)
            return 1
    return 0


def _formatted(error: PartstreamError) -> str:
    facts = "".join(f"\n  {visible(f'{name}: {value}')}" for name, value in error.metadata.items())
    return f"{visible(f'{error.reason}: {error.message}')}{facts}"


async def _print_entries(given: argparse.Namespace) -> None:
    settings = service_settings(stack_state.data_folder(given.data_dir))
    token = ServiceToken(settings.credential, "events")
    async with open_channel(getattr(settings, given.service), token=token, tls=settings.grpc_tls) as channel:
        stub = change_log_service_pb2_grpc.ChangeLogServiceStub(channel)
        cursor = await _print_up_to_now(stub, first_request(given), given)
        if given.follow:
            source = StockSource(channel) if given.service == "inventory" else PartSource(channel)
            # The watch says when there is something new; what is printed is the log itself.
            async with contextlib.aclosing(source.watch(cursor, _BOOKMARK_SECONDS)) as batches:
                async for batch in batches:
                    if batch.changes:
                        request = first_request(given, cursor)
                        cursor = await _print_up_to_now(stub, request, given)


def first_request(given: argparse.Namespace, cursor: str = "") -> change_log_service_pb2.ListEntriesRequest:
    """Return the request for entries after a cursor, or from where the arguments say; ``CursorMalformed``."""
    request = change_log_service_pb2.ListEntriesRequest(
        cursor=cursor, entity=given.entity, part_ids=given.part, page_size=_PAGE
    )
    if not cursor and given.start:
        moment = _moment(given.start)
        if moment is None:
            request.cursor = given.start
        else:
            request.since.FromDatetime(moment)
    return request


def _moment(text: str) -> datetime | None:
    """The time a text says, or ``None`` when it is a cursor."""
    try:
        return parse_timestamp(text, day_alone=True)
    except TimestampOutOfRange as error:
        message = f"{text!r} {error}"
        raise CursorMalformed(message) from None
    except TimestampMalformed:
        if text[:2].isdigit() and "-" in text[:5]:
            message = f"{text!r} is neither a time (2026-01-31T12:00:00Z) nor a cursor"
            raise CursorMalformed(message) from None
        return None


async def _print_up_to_now(stub: Any, request: change_log_service_pb2.ListEntriesRequest, given: Any) -> str:
    while True:
        page = await stub.ListEntries(request)
        for entry in page.entries:
            print(_as_json(entry) if given.json else _as_line(entry), flush=given.follow)
        if page.end:
            cursor: str = page.cursor
            return cursor
        request.cursor = page.cursor
        request.ClearField("since")


def _as_json(entry: LogEntry) -> str:
    return MessageToJson(entry, preserving_proto_field_name=True, indent=None)


def _as_line(entry: LogEntry) -> str:
    when = entry.commit_time.ToDatetime(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sign = _SIGNS.get(origin_pb2.Operation.Name(entry.operation), "?")
    who = entry.origin.actor.username or entry.origin.actor.user_id
    why = f" ({entry.origin.reason})" if entry.origin.reason else ""
    by = f"{who} by {entry.origin.source}" if entry.origin.source != "service" else who
    what = f"{sign} {entry.entity} {entry.entity_id} v{entry.version}"
    return visible(f"{entry.revision:>9} {when} {what} {_changes(entry)} {by}{why}")


def _changes(entry: LogEntry) -> str:
    """The columns that differ, as ``name: before → after``."""
    before, after = MessageToDict(entry.before), MessageToDict(entry.after)
    names = [name for name in after if name not in _UNINTERESTING and before.get(name) != after[name]]
    if not before:
        names = [name for name in names if after[name] not in (None, "", 0, [], {})]
    return ", ".join(f"{name}: {_short(before.get(name))} → {_short(after[name])}" for name in names[:6])


def _short(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "∅" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
