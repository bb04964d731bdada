"""The one kind of route that changes state: declared with ``write_route``, sent to a service with ``Write.send``.

The declaration gives a route its body decoder, guard, headers, documented responses and precondition. ``send`` adds
the idempotency key and the precondition to the message, calls the service, and raises the invalidation floor of what
was written: from then on no read of this process returns anything older, with or without a revision token.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, get_args, get_type_hints

from litestar import Request, delete, patch, post, put
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from edge.cache import keys
from edge.cache.decorators import cache_invalidate
from edge.http.idempotency import request_id_for
from edge.http.json_bodies import JsonBody
from edge.http.preconditions import precondition
from edge.openapi.document import ADMIN_WRITE, CONDITIONAL_WRITE, GUARDED_WRITE, refusals
from edge.openapi.operations import Described, described
from edge.upstream.clients import WRITE_SECONDS
from partstream.content.v1 import part_service_pb2 as content_pb
from partstream.inventory.v1 import stock_service_pb2 as inventory_pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import grpc
    from litestar.handlers import HTTPRouteHandler

    from edge.cache.manager import CacheManager
    from edge.identity.guards import Guard
    from edge.upstream.clients import Services
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Method: TypeAlias = Literal["POST", "PUT", "PATCH", "DELETE"]

KIND: Final = "write"  # the option of a route that holds its `WriteKind`
_DECORATORS: Final[Mapping[str, Any]] = {"POST": post, "PUT": put, "PATCH": patch, "DELETE": delete}


class Condition(Enum):
    """Whether a write takes the version that it replaces, by ``If-Match`` or ``expected_version``."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class WriteKind:
    """What a write route declares. ``unlogged`` is the reason why its writes have no revision; empty for all others."""

    condition: Condition = Condition.NONE
    unlogged: str = ""


_STATUSES: Final = {
    Condition.NONE: ADMIN_WRITE,
    Condition.OPTIONAL: CONDITIONAL_WRITE,
    Condition.REQUIRED: GUARDED_WRITE,
}


def write_route(  # noqa: PLR0913 - one declaration of everything that a write needs
    method: Method,
    path: str,
    *,
    guard: Guard,
    summary: str,
    returns: str,
    status: int = 200,
    condition: Condition = Condition.NONE,
    statuses: Sequence[int] | None = None,
    request_headers: tuple[str, ...] = (),
    response_headers: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Declare a write to a change log. The handler takes a ``write: TheWrite`` and sends its message with it."""
    conditional = condition is not Condition.NONE
    operation = described(
        (*request_headers, "Idempotency-Key", *(("If-Match",) if conditional else ()), "X-CSRF-Token"),
        (*response_headers, *(("ETag",) if conditional else ()), "Idempotent-Replayed"),
    )
    documented = statuses or _STATUSES[condition]
    return _declared(method, path, WriteKind(condition), (guard,), summary, returns, status, documented, operation)


def unlogged_write_route(
    method: Method,
    path: str,
    *,
    reason: str,
    summary: str,
    returns: str,
    statuses: Sequence[int],
    status: int = 200,
    guard: Guard | None = None,
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Declare a write that no change log has; ``reason`` says why no read can return what it replaced."""
    guards = (guard,) if guard else ()
    return _declared(method, path, WriteKind(unlogged=reason), guards, summary, returns, status, statuses, Described)


def _declared(  # noqa: PLR0913, PLR0917 - the two above fill it
    method: Method,
    path: str,
    kind: WriteKind,
    guards: Sequence[Guard],
    summary: str,
    returns: str,
    status: int,
    statuses: Sequence[int],
    operation: type[Described],
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    def declare(handle: Callable[..., Any]) -> HTTPRouteHandler:
        body = _body_of(handle)
        made: HTTPRouteHandler = _DECORATORS[method](
            path,
            **({"dto": JsonBody[body], "return_dto": None} if body else {}),  # type: ignore[valid-type]
            status_code=status,
            guards=list(guards),
            summary=summary,
            response_description=returns,
            responses=refusals(*statuses),
            operation_class=operation,
            opt={KIND: kind},
        )(handle)
        return made

    return declare


def _body_of(handle: Callable[..., Any]) -> Any:
    """Return the struct of a handler's body; ``None`` when it takes none."""
    hint = get_type_hints(handle).get("data")
    return next((item for item in get_args(hint) if item is not NoneType), hint)


def written_names(response: object) -> Iterable[str]:
    """Return the names, as the cache has them, of what a write changed; ``TypeError`` for an unknown response."""
    match response:
        case content_pb.CreatePartResponse() | content_pb.UpdatePartResponse():
            # Listings name parts by category, order and text, and the categories before the write are not known here.
            return (keys.part_name(response.part.part_id), keys.TREE_TAG)
        case content_pb.CreateCategoryResponse():
            return (keys.TREE_TAG,)
        case inventory_pb.CreateLocationResponse() | inventory_pb.ArchiveLocationResponse():
            return ()  # no cache holds locations
        case inventory_pb.BatchAdjustStockResponse():
            levels = [item.level for item in response.results if item.HasField("level")]
        case inventory_pb.TransferStockResponse():
            levels = [response.from_level]
        case (
            inventory_pb.CreateReservationResponse()
            | inventory_pb.CommitReservationResponse()
            | inventory_pb.ReleaseReservationResponse()
            | inventory_pb.ExtendReservationResponse()
        ):
            return {keys.part_name(line.part_id) for line in response.reservation.lines}
        case (
            inventory_pb.SetStockResponse()
            | inventory_pb.AdjustStockResponse()
            | inventory_pb.SetReorderPointResponse()
            | inventory_pb.ArchiveStockResponse()
            | inventory_pb.RestoreStockResponse()
            | inventory_pb.ReverseMovementResponse()
        ):
            levels = [response.level]
        case _:
            message = f"{type(response).__name__} is not the response of a write"
            raise TypeError(message)
    return {keys.part_name(level.part_id) for level in levels}


class Write:
    """The write of one request."""

    __slots__ = ("_cache", "_request", "_services")

    def __init__(self, request: Request[Any, Any, Any], services: Services, cache: CacheManager) -> None:
        """Serve a request to a route that ``write_route`` declares."""
        self._request = request
        self._services = services
        self._cache = cache

    @property
    def request(self) -> Request[Any, Any, Any]:
        """Return the request."""
        return self._request

    @property
    def inventory(self) -> InventoryServiceAsyncStub:
        """Return the stub of the inventory service."""
        return self._services.inventory

    @property
    def content(self) -> ContentServiceAsyncStub:
        """Return the stub of the content service."""
        return self._services.content

    async def read(self, method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT], message: RequestT) -> ResponseT:
        """Read from a service, for the response of a write."""
        return await self._services.call_upstream(method, message)

    async def send(
        self, method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT], message: RequestT, body: object = None
    ) -> ResponseT:
        """Send the message with the request's idempotency key and the precondition of its headers and ``body``.

        Raise ``VersionRequired`` (428) or ``MalformedRequest`` (400) for a missing or unreadable precondition, and the
        errors of the service.
        """
        kind: WriteKind = self._request.route_handler.opt[KIND]
        filled: Any = message
        if kind.condition is not Condition.NONE:
            self._require(filled, body, required=kind.condition is Condition.REQUIRED)
        filled.request_id = request_id_for(self._request)
        response: Any = await _written(cache=self._cache, services=self._services, method=method, message=message)
        written: ResponseT = response
        return written

    def _require(self, message: Any, body: object, *, required: bool) -> None:
        found = precondition(self._request, getattr(body, "expected_version", None), required=required)
        if found.version is not None:
            message.expected_version = found.version
        if found.if_match is not None:
            message.if_match.CopyFrom(found.if_match)
        if found.unconditional and required:
            message.unconditional = True


@cache_invalidate(names=written_names)
async def _written(
    *,
    cache: CacheManager,  # noqa: ARG001 - the decorator's
    services: Services,
    method: grpc.aio.UnaryUnaryMultiCallable[Any, Any],
    message: object,
) -> Any:
    return await services.call_upstream(method, message, seconds=WRITE_SECONDS)


TheWrite: TypeAlias = NamedDependency[SkipValidation[Write]]


def write_of(services: Services, cache: CacheManager) -> Callable[..., Write]:
    """Return the provider of ``TheWrite``."""

    def provide(request: Request[Any, Any, Any]) -> Write:
        return Write(request, services, cache)

    return provide
