"""Entries of the content change log as ``PartChange`` messages, one per audience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changelog.visibility import AUDIENCES, PUBLIC, hidden_fields, redact
from content_svc.convert.responses import category_from_snapshot, fill_part_from_snapshot, timestamp
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changelog.log_entry import LogEntry

_OPERATION = {
    "created": origin_pb2.OPERATION_CREATED,
    "updated": origin_pb2.OPERATION_UPDATED,
    "deleted": origin_pb2.OPERATION_DELETED,
}
_PART: str = part_pb2.Part.DESCRIPTOR.full_name


def watched_keys(entry: LogEntry) -> frozenset[str]:
    """Return the part ids that a watcher's filter is compared with; none for categories."""
    return frozenset((entry.entity_id,)) if entry.entity == "part" else frozenset()


async def entity_ids_of(part_ids: Sequence[str]) -> Sequence[str]:
    """Return the ids of the entries that concern some parts: their own."""
    return part_ids


def encode(entry: LogEntry, audience: str) -> bytes:
    """Return the serialised ``PartChange`` for an audience; ``b""`` when the audience cannot see the change."""
    change = part_change_pb2.PartChange(
        revision=entry.revision,
        version=entry.version,
        operation=_OPERATION[entry.operation],
        changed_fields=(entry.details or {}).get("changed_fields", ()),
        commit_time=timestamp(entry.committed_at),
        traceparent=entry.traceparent,
        entity=entry.entity,
        entity_id=entry.entity_id,
    )
    change.origin.CopyFrom(_origin(entry))
    if entry.entity == "category":
        for state, target in ((entry.before, change.category.before), (entry.after, change.category.after)):
            if state is not None:
                target.CopyFrom(category_from_snapshot(state))
    else:
        change.part_id = entry.entity_id
        if audience == PUBLIC and not _shape_for_public(change, entry):
            return b""
        _fill_states(change, entry, audience)
    redact(change, AUDIENCES[audience])
    return change.SerializeToString()


def _origin(entry: LogEntry) -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id=entry.actor, username=entry.actor_name),
        source=entry.source,
        reason=entry.reason,
        client_ip=entry.client_ip,
        request_id=entry.request_id,
    )


def _is_public(state: dict[str, Any] | None) -> bool:
    return state is not None and state["status"] == "published" and state["delete_time"] is None


def _shape_for_public(change: part_change_pb2.PartChange, entry: LogEntry) -> bool:
    """Reduce a change to what it is for a reader of published parts; return false when it is none."""
    before, after = _is_public(entry.before), _is_public(entry.after)
    if before and after:
        change.operation = origin_pb2.OPERATION_UPDATED
    elif after:
        change.operation = origin_pb2.OPERATION_CREATED
    elif before:
        change.operation = origin_pb2.OPERATION_DELETED
    else:
        return False
    hidden = hidden_fields(_PART, AUDIENCES[PUBLIC])
    visible = [name for name in change.changed_fields if name not in hidden] if after else []
    del change.changed_fields[:]
    change.changed_fields.extend(visible)
    return True


def _fill_states(change: part_change_pb2.PartChange, entry: LogEntry, audience: str) -> None:
    is_public = audience == PUBLIC
    for state, target in ((entry.before, change.before), (entry.after, change.after)):
        if state is None or (is_public and not (_is_public(state) and _is_public(entry.after))):
            continue
        fill_part_from_snapshot(target, state)
