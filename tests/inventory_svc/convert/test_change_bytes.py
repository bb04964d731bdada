"""The bytes written by hand are those that protobuf writes of the same change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changelog import wire
from changelog.log_entry import LogEntry
from changelog.visibility import AUDIENCES, PUBLIC, redact
from inventory_svc import changes
from inventory_svc.convert.responses import KINDS
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import movement_pb2, stock_change_pb2, stock_pb2

OPERATIONS = {
    "created": origin_pb2.OPERATION_CREATED,
    "updated": origin_pb2.OPERATION_UPDATED,
    "deleted": origin_pb2.OPERATION_DELETED,
}
BIG = 9_000_000_000_000_000

identifiers = st.text("abzAZ019._-", min_size=1, max_size=64)
amounts = st.one_of(st.sampled_from((0, 1, 127, 128, 16383, 16384, 2**21, 2**28, BIG)), st.integers(0, BIG))
deltas = st.one_of(st.sampled_from((0, 1, -1, -128)), st.integers(-BIG, BIG))
versions = st.one_of(st.sampled_from((1, 127, 128, 16383, 16384)), st.integers(1, 2**62))
zones = st.sampled_from((UTC, timezone(timedelta(hours=1)), timezone(-timedelta(hours=3, minutes=30))))
moments = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - the zone is drawn
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
people = st.uuids().map(str)


@st.composite
def levels(draw: st.DrawFn, key: tuple[str, str]) -> dict[str, Any]:
    on_hand = draw(amounts)
    return {
        "part_id": key[0],
        "location_id": key[1],
        "on_hand": on_hand,
        "reserved": draw(st.integers(0, on_hand)),
        "reorder_point": draw(amounts),
        "version": draw(versions),
        "updated_at": draw(moments),
        "last_updated_by": draw(people),
        "last_updated_by_name": draw(texts),
        "archived_at": draw(st.none() | moments),
    }


@st.composite
def movements(draw: st.DrawFn, key: tuple[str, str]) -> dict[str, Any]:
    return {
        "part_id": key[0],
        "location_id": key[1],
        "version": draw(versions),
        "kind": draw(st.sampled_from(sorted(KINDS))),
        "on_hand_delta": draw(deltas),
        "reserved_delta": draw(deltas),
        "on_hand_after": draw(amounts),
        "reserved_after": draw(amounts),
        "actor": draw(people),
        "actor_name": draw(texts),
        "source": draw(st.sampled_from(("service", "sql"))),
        "client_ip": draw(texts),
        "request_id": draw(texts),
        "traceparent": draw(texts),
        "reason": draw(texts),
        "reservation_id": draw(st.none() | people),
        "reverses_version": draw(st.none() | versions),
        "occurred_at": draw(moments),
    }


@dataclass(frozen=True)
class Change:
    """A change as the triggers tell it."""

    key: tuple[str, str]
    before: dict[str, Any] | None
    after: dict[str, Any]
    movements: list[dict[str, Any]]
    entry: LogEntry


def as_json(value: Any) -> str:
    return json.dumps(value, default=lambda moment: moment.isoformat(), ensure_ascii=False)


@st.composite
def logged_changes(draw: st.DrawFn) -> Change:
    key = (draw(identifiers), draw(identifiers))
    before = draw(st.none() | levels(key))
    after = draw(levels(key))
    moved = draw(st.lists(movements(key), max_size=3))
    entry = LogEntry(
        revision=draw(versions),
        epoch=UUID(int=1),
        transaction_id=1,
        entity="stock_level",
        entity_id="/".join(key),
        version=draw(versions),
        operation=draw(st.sampled_from(sorted(OPERATIONS))),
        before_json=None if before is None else as_json(before),
        after_json=as_json(after),
        details_json=draw(st.none() | st.just(as_json({"movements": moved}))),
        actor=draw(people),
        actor_name=draw(texts),
        source=draw(st.sampled_from(("service", "sql"))),
        client_ip=draw(texts),
        request_id=draw(texts),
        traceparent=draw(texts),
        reason=draw(texts),
        committed_at=draw(moments),
        hash=b"",
        log_epoch=UUID(int=1),
    )
    return Change(key, before, after, moved if entry.details_json else [], entry)


def level_of(row: dict[str, Any]) -> stock_pb2.StockLevel:
    available = row["on_hand"] - row["reserved"]
    level = stock_pb2.StockLevel(
        **{name: row[name] for name in ("part_id", "location_id", "on_hand", "reserved", "reorder_point", "version")},
        available=available,
        in_stock=available > 0,
        low_stock=available <= row["reorder_point"],
    )
    level.update_time.FromDatetime(row["updated_at"])
    level.last_updated_by.CopyFrom(
        origin_pb2.Actor(user_id=row["last_updated_by"], username=row["last_updated_by_name"])
    )
    if row["archived_at"]:
        level.archive_time.FromDatetime(row["archived_at"])
    return level


def movement_of(row: dict[str, Any]) -> movement_pb2.StockMovement:
    numbers = ("version", "on_hand_delta", "reserved_delta", "on_hand_after", "reserved_after")
    movement = movement_pb2.StockMovement(
        part_id=row["part_id"],
        location_id=row["location_id"],
        kind=KINDS[row["kind"]],
        reverses_version=row["reverses_version"],
        **{name: row[name] for name in numbers},
    )
    movement.origin.CopyFrom(origin_of(row))
    movement.reservation_id = row["reservation_id"] or ""
    movement.occur_time.FromDatetime(row["occurred_at"])
    return movement


def origin_of(row: dict[str, Any]) -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id=row["actor"], username=row["actor_name"]),
        **{name: row[name] for name in ("source", "reason", "client_ip", "request_id")},
    )


def change_of(logged: Change) -> stock_change_pb2.StockChange:
    entry = logged.entry
    change = stock_change_pb2.StockChange(
        revision=entry.revision,
        version=entry.version,
        part_id=logged.key[0],
        location_id=logged.key[1],
        operation=OPERATIONS[entry.operation],
        after=level_of(logged.after),
        movements=[movement_of(row) for row in logged.movements],
        traceparent=entry.traceparent,
        entity=entry.entity,
        entity_id=entry.entity_id,
    )
    if logged.before is not None:
        change.before.CopyFrom(level_of(logged.before))
    names = ("actor", "actor_name", "source", "reason", "client_ip", "request_id")
    change.origin.CopyFrom(origin_of({name: getattr(entry, name) for name in names}))
    change.commit_time.FromDatetime(entry.committed_at)
    return change


@pytest.mark.parametrize("audience", AUDIENCES)
@given(logged=logged_changes())
def test_a_change_is_written_as_protobuf_writes_it(audience: str, logged: Change) -> None:
    expected = change_of(logged)
    redact(expected, AUDIENCES[audience])
    if audience == PUBLIC:
        expected.operation = origin_pb2.OPERATION_UPDATED

    written = changes.encode(logged.entry, audience)

    assert stock_change_pb2.StockChange.FromString(written) == expected
    assert written == expected.SerializeToString(deterministic=True)


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**29)))
def test_a_number_is_written_as_protobuf_writes_it(value: int) -> None:
    assert wire.number(b"\x08", value) == stock_change_pb2.StockChange(revision=value).SerializeToString()
