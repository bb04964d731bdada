"""Numbers and times at the limits of their types in every field of every call: refused or served, never INTERNAL."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.rich_status import from_rpc_error
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inventory_svc.running import Running

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
CALLS = [method.name for method in SERVICE.methods if not method.server_streaming]
INTEGERS: dict[int, tuple[int, ...]] = {
    FieldDescriptor.CPPTYPE_INT32: (2**31 - 1, -(2**31), -1, 0),
    FieldDescriptor.CPPTYPE_INT64: (2**63 - 1, -(2**63), 9 * 10**15, 2**53 + 1, -1, 0),
    FieldDescriptor.CPPTYPE_ENUM: (2**31 - 1, -(2**31)),
}
TIMES: dict[str, list[Any]] = {
    "google.protobuf.Duration": [
        Duration(seconds=seconds, nanos=nanos)
        for seconds, nanos in ((2**63 - 1, 0), (-(2**63), 0), (315_576_000_001, 0), (60, -1), (60, 2**31 - 1), (0, 0))
    ],
    "google.protobuf.Timestamp": [
        Timestamp(seconds=seconds, nanos=nanos)
        for seconds, nanos in ((2**63 - 1, 0), (-(2**63), 0), (-62_135_596_800, 0), (253_402_300_800, 0), (0, -1))
    ],
}


def filled(message: Any, known: dict[str, str]) -> Any:
    """The message with what makes a call plausible, so that the value under test is what decides."""
    for field in message.DESCRIPTOR.fields:
        if field.name in known:
            value = known[field.name]
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.message_type is not None and field.message_type.full_name.startswith("partstream.inventory"):
            target = getattr(message, field.name)
            filled(target.add() if field.is_repeated else target, known)
        elif field.name in {"quantity", "delta", "version", "on_hand"}:
            setattr(message, field.name, 1)
    return message


def extremes(message: Any) -> Iterator[tuple[str, Any]]:
    """The message once for each number or time in it and each extreme value, with the field that was set."""
    for field in message.DESCRIPTOR.fields:
        inner = field.message_type
        if inner is None and not field.is_repeated:
            for value in INTEGERS.get(field.cpp_type, ()):
                copy = _copy(message)
                setattr(copy, field.name, value)
                yield field.name, copy
        elif inner is not None and inner.full_name in TIMES:
            for time in TIMES[inner.full_name]:
                copy = _copy(message)
                getattr(copy, field.name).CopyFrom(time)
                yield field.name, copy
        elif inner is not None and inner.full_name.startswith("partstream."):
            present = getattr(message, field.name)
            for name, changed in extremes(present[0] if field.is_repeated and present else inner._concrete_class()):
                copy = _copy(message)
                target = getattr(copy, field.name)
                (target[0] if field.is_repeated and target else target.add() if field.is_repeated else target).CopyFrom(
                    changed
                )
                yield f"{field.name}.{name}", copy


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


@pytest.mark.parametrize("call", CALLS)
async def test_no_number_and_no_time_is_a_fault_of_ours(inventory: Running, call: str) -> None:
    known = {
        "part_id": await inventory.have(5),
        "part_ids": "none",
        "location_id": "main",
        "to_location_id": "main",
        "reason": "x",
        "reservation_id": str(uuid.uuid4()),
        "name": "x",
    }
    request = filled(getattr(pb, SERVICE.methods_by_name[call].input_type.name)(), known)

    reasons = {}
    for name, changed in extremes(request):
        try:
            await getattr(inventory.staff, call)(changed)
        except grpc.aio.AioRpcError as error:
            reasons[name, str(changed)] = from_rpc_error(error).reason

    assert "INTERNAL" not in reasons.values(), {
        case: reason for case, reason in reasons.items() if reason == "INTERNAL"
    }
