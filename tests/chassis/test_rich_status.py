"""Every error arrives as a status of bounded size."""

import pytest
from google.rpc import status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from chassis.errors import (
    AlreadyExists,
    BatchAborted,
    FailedPrecondition,
    FieldInvalid,
    FieldViolation,
    InternalFault,
    InvalidArgument,
    NotFound,
    Overloaded,
    PartstreamError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    VersionConflict,
)
from chassis.rich_status import MOST_BYTES, from_rpc_error, from_status, to_status
from partstream.content.v1.part_pb2 import Part

FAULT = FieldViolation("adjustments[999].delta", "must not be in list [0]")


def test_violations_that_do_not_fit_are_counted() -> None:
    status = to_status(FieldInvalid("wrong", fields=[FAULT] * 1000), lambda _: None)

    arrived = from_status(status)

    assert status.ByteSize() <= MOST_BYTES
    assert 50 < len(arrived.fields) < 1000
    assert len(arrived.fields) + int(arrived.metadata["left_out"]) == 1000


def test_preconditions_that_do_not_fit_are_counted_too() -> None:
    status = to_status(BatchAborted("short", preconditions=[FAULT] * 1000), lambda _: None)

    arrived = from_status(status)

    assert status.ByteSize() <= MOST_BYTES
    assert len(arrived.preconditions) + int(arrived.metadata["left_out"]) == 1000


@pytest.mark.parametrize(("length", "kept"), [(1000, True), (100_000, False)])
def test_a_current_resource_is_attached_when_it_fits(length: int, kept: bool) -> None:
    current = Part(part_id="LED", description="x" * length)

    status = to_status(VersionConflict("stale", current=current), lambda _: None)

    assert status.ByteSize() <= MOST_BYTES
    assert from_status(status).current == (current if kept else None)


def test_an_incomplete_status_is_an_error_of_the_transport() -> None:
    """grpc_status raises when the transport's code differs from that of the status."""
    sent = to_status(FieldInvalid("wrong"), lambda _: None)
    trailers = Metadata(("grpc-status-details-bin", sent.SerializeToString()))
    cut = AioRpcError(StatusCode.RESOURCE_EXHAUSTED, Metadata(), trailers, "metadata too large")

    assert isinstance(from_rpc_error(cut), Overloaded)


def test_a_message_is_cut_between_characters() -> None:
    status = to_status(FieldInvalid("ä" * 10_000), lambda _: None)

    assert set(status.message) == {"ä"}
    assert status.ByteSize() <= MOST_BYTES


@pytest.mark.parametrize(
    "cls",
    [InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, Unauthenticated, ResourceExhausted, Unavailable],
)
def test_an_unknown_reason_arrives_as_the_class_of_its_code(cls: type[PartstreamError]) -> None:
    arrived = from_status(to_status(cls("wrong", reason="REASON_OF_A_SERVICE"), lambda _: None))

    assert (type(arrived), arrived.reason) == (cls, "REASON_OF_A_SERVICE")


def test_a_status_without_a_reason_is_an_internal_fault() -> None:
    arrived = from_status(status_pb2.Status(code=StatusCode.NOT_FOUND.value[0], message="unknown"))

    assert (type(arrived), arrived.reason) == (InternalFault, "INTERNAL")
