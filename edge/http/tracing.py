"""Server spans of requests: the root of a trace, or the continuation of the caller's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate, trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRACEPARENT: Final = b"traceparent"
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_tracer = trace.get_tracer("edge")


def is_traced(method: str, headers: Mapping[bytes, bytes], *, exported: bool) -> bool:
    """Return whether a request gets a span: all when traces are exported, else writes and requests with a trace.

    A span costs about 40 us, an eighth of a page from memory.
    """
    return exported or _TRACEPARENT in headers or method not in _READS


@contextlib.contextmanager
def request_span(method: str, headers: Mapping[bytes, bytes]) -> Iterator[Any]:
    """Open a server span for the block; calls to the services in it carry its context."""
    carrier = {"traceparent": headers.get(_TRACEPARENT, b"").decode("latin-1")}
    parent = propagate.extract(carrier)
    with _tracer.start_as_current_span(method, context=parent, kind=trace.SpanKind.SERVER) as span:
        yield span


def describe(span: Any, route: str, method: str, status: int) -> None:
    """Set the name and the HTTP attributes of a span."""
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
