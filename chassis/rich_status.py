"""Converts errors to ``google.rpc.Status`` and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from google.protobuf import any_pb2, symbol_database
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis import errors
from chassis.errors import DOMAIN, FieldViolation, PartstreamError, ResourceRef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TYPE_URL = "type.googleapis.com/"
_CODES = {code.name: code for code in grpc.StatusCode}
_BY_REASON = {cls.reason: cls for cls in errors.error_classes() if cls.__module__ == errors.__name__}
# Classes of reasons that only a service knows: by gRPC code.
_BY_CODE: Final[dict[int, type[PartstreamError]]] = {
    _CODES[cls.code].value[0]: cls
    for cls in (
        errors.InvalidArgument,
        errors.NotFound,
        errors.AlreadyExists,
        errors.FailedPrecondition,
        errors.Unauthenticated,
        errors.ResourceExhausted,
        errors.Unavailable,
    )
}
_UNAVAILABLE_RETRY_SECONDS = 1.0

# Clients accept trailers of 8 KiB by default; between 8 and 16 KiB they reject some of them.
MOST_BYTES: Final = 6_000
MOST_MESSAGE: Final = 500  # bytes; it is sent twice, the second time percent-encoded
_PACKING: Final = 100  # type URL and lengths of an `Any`
_FRAMING: Final = 4  # tag and length of a repeated field

MessageT = TypeVar("MessageT", bound=Message)


def to_status(error: PartstreamError, pack: Callable[[object], Message | None]) -> status_pb2.Status:
    """Return the rich status of an error; ``pack`` converts a domain object to its protobuf message.

    To limit its size, the current resource is left out first, then the last violations; ``left_out`` in the metadata
    counts those. A client receives ``RESOURCE_EXHAUSTED`` instead of a status that is too large, and retries in vain.
    """
    text = error.message.encode()[:MOST_MESSAGE].decode(errors="ignore")
    status = status_pb2.Status(code=_CODES[error.code].value[0], message=text)
    room = MOST_BYTES - status.ByteSize()
    fields, missing = _fitting([_field_violation(item) for item in error.fields], room // 2)
    failures, more_missing = _fitting([_failure(error, item) for item in error.preconditions], room // 2)
    metadata = dict(error.metadata)
    if missing + more_missing:
        metadata["left_out"] = str(missing + more_missing)

    def attach(detail: Message) -> None:
        status.details.add().Pack(detail)

    attach(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if fields:
        attach(error_details_pb2.BadRequest(field_violations=fields))
    if error.resource:
        attach(
            error_details_pb2.ResourceInfo(
                resource_type=error.resource.kind,
                resource_name=error.resource.name,
                description=text,
            )
        )
    if failures:
        attach(error_details_pb2.PreconditionFailure(violations=failures))
    _attach_retry(status, error)
    current = error.current if isinstance(error.current, Message) else error.current and pack(error.current)
    if isinstance(current, Message) and status.ByteSize() + current.ByteSize() + _PACKING <= MOST_BYTES:
        attach(current)
    return status


def _fitting(items: Sequence[MessageT], room: int) -> tuple[Sequence[MessageT], int]:
    """Return the first items that fit into so many bytes, and how many do not."""
    for at, item in enumerate(items):
        room -= item.ByteSize() + _FRAMING
        if room < 0:
            return items[:at], len(items) - at
    return items, 0


def _failure(error: PartstreamError, item: FieldViolation) -> error_details_pb2.PreconditionFailure.Violation:
    return error_details_pb2.PreconditionFailure.Violation(
        type=error.reason, subject=item.path, description=item.message
    )


def _field_violation(item: FieldViolation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(field=item.path, description=item.message)


def _attach_retry(status: status_pb2.Status, error: PartstreamError) -> None:
    after = error.retry_after_seconds
    if after is None and isinstance(error, errors.Unavailable | errors.Overloaded):
        after = _UNAVAILABLE_RETRY_SECONDS
    if after is None:
        return
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(max(1, math.ceil(after * 1000)))
    status.details.add().Pack(retry)


def from_rpc_error(error: grpc.RpcError) -> PartstreamError:
    """Return the error of a failed call. A status without our details becomes the nearest error."""
    try:
        status = rpc_status.from_call(error) if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    except ValueError:  # the transport failed with another code than that of the status
        status = None
    if status is None:
        return _foreign(error)
    return from_status(status)


def is_foreign(error: grpc.RpcError) -> bool:
    """Whether the error is one of the transport, not of a server of the system."""
    try:
        return not isinstance(error, grpc.Call | grpc.aio.AioRpcError) or rpc_status.from_call(error) is None
    except ValueError:
        return True


def from_status(status: status_pb2.Status) -> PartstreamError:
    """Return the error in a rich status: its own class, or that of its code with the reason kept."""
    found = _Details(status)
    known = _BY_REASON.get(found.reason)
    cls = known or (_BY_CODE.get(status.code) if found.reason else None) or errors.InternalFault
    return cls(
        status.message,
        metadata=found.metadata,
        fields=found.fields,
        resource=found.resource,
        preconditions=found.preconditions,
        retry_after_seconds=found.retry_after_seconds,
        current=found.current,
        reason="" if known else found.reason,
    )


class _Details:
    """The details of a status."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.fields: list[FieldViolation] = []
        self.preconditions: list[FieldViolation] = []
        self.resource: ResourceRef | None = None
        self.retry_after_seconds: float | None = None
        self.current: Message | None = None
        for detail in status.details:
            self._take(_unpack(detail))

    def _take(self, message: Message | None) -> None:
        match message:
            case error_details_pb2.ErrorInfo():
                self.reason, self.metadata = message.reason, dict(message.metadata)
            case error_details_pb2.BadRequest():
                self.fields = [FieldViolation(item.field, item.description) for item in message.field_violations]
            case error_details_pb2.ResourceInfo():
                self.resource = ResourceRef(message.resource_type, message.resource_name)
            case error_details_pb2.PreconditionFailure():
                self.preconditions = [FieldViolation(item.subject, item.description) for item in message.violations]
            case error_details_pb2.RetryInfo():
                self.retry_after_seconds = message.retry_delay.ToMilliseconds() / 1000
            case _:
                self.current = message


def _unpack(detail: any_pb2.Any) -> Message | None:
    try:
        message: Message = symbol_database.Default().GetSymbol(detail.type_url.removeprefix(_TYPE_URL))()
        message.ParseFromString(detail.value)
    except (KeyError, DecodeError):
        return None
    return message


def _foreign(error: grpc.RpcError) -> PartstreamError:
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlinePassed("Deadline exceeded before the response arrived. Retry.")
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.StoreUnavailable("Service unavailable. Retry later.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.Overloaded("The service rejected the message: it is too large, or too many are sent at once.")
    return errors.InternalFault("Internal error of the service.")
