"""The content log as watchers see it: entries as ``PartChange``, each for the audiences that watch."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from changelog.visibility import AUDIENCES, PUBLIC, hidden_fields, redact
from content_svc.convert import STATUS_NUMBER, fill_struct, timestamp
from content_svc.rows import specifications_from_json
from content_svc.sanitise import safe_html
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
    """The part ids a watcher's filter is compared with; none for categories."""
    return frozenset((entry.entity_id,)) if entry.entity == "part" else frozenset()


async def entity_ids_of(part_ids: Sequence[str]) -> Sequence[str]:
    """Under which ids the log has what happens to some parts: their own."""
    return part_ids


def encode(entry: LogEntry, audience: str) -> bytes:
    """The serialised ``PartChange`` for an audience; ``b""`` where the public must not even know."""
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
                target.CopyFrom(_category(state))
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
    """Make the change what it is to those who see published parts only; false when it is nothing to them."""
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
    kept = [name for name in change.changed_fields if name not in hidden] if after else []
    del change.changed_fields[:]
    change.changed_fields.extend(kept)
    return True


def _fill_states(change: part_change_pb2.PartChange, entry: LogEntry, audience: str) -> None:
    is_public = audience == PUBLIC
    for state, target in ((entry.before, change.before), (entry.after, change.after)):
        if state is None or (is_public and not (_is_public(state) and _is_public(entry.after))):
            continue
        fill_part(target, state)


def fill_part(message: part_pb2.Part, state: dict[str, Any]) -> None:
    """Set a part from a snapshot, as change log and versions hold it."""
    for name in ("part_id", "category_id", "title", "summary", "mpn", "manufacturer", "datasheet_url"):
        setattr(message, name, state[name])
    message.description = safe_html(state["description"])
    message.description_sanitised = message.description != state["description"]
    message.category_path.extend(state["category_path"])
    message.version = state["version"]
    message.published_version = state["published_version"]
    message.status = STATUS_NUMBER[state["status"]]
    message.specifications.SetInParent()
    fill_struct(message.specifications, specifications_from_json(state["specifications"]))
    for image in state["images"]:
        message.images.add(**image)
    for step in state["price_breaks"]:
        message.price_breaks.add(**step)
    for name in ("price", "cost"):
        if state[name] is not None:
            getattr(message, name).CopyFrom(part_pb2.Money(**state[name]))
    for name in ("create_time", "update_time", "delete_time"):
        if state[name] is not None:
            getattr(message, name).FromDatetime(datetime.fromisoformat(state[name]))
    message.updated_by.CopyFrom(origin_pb2.Actor(**state["updated_by"]))


def _category(state: dict[str, Any]) -> part_pb2.Category:
    return part_pb2.Category(
        category_id=state["category_id"],
        parent_id=state["parent_id"],
        name=state["name"],
        path=state["path"],
        position=state["position"],
        version=state["version"],
    )
