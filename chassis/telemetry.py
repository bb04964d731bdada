"""OpenTelemetry: traces of unary gRPC calls on both sides, exported as configured."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import context, propagate, trace
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor, filters
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NEVER = ParentBased(ALWAYS_OFF)
_LINKS_AT_MOST = 32  # writes that one span links; a batch of a busy log has a thousand
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LAST_EXPORT_SECONDS = 1.0  # a process has 2.5 s to stop
EXPORTERS = ("none", "otlp", "console")


class _Batches(BatchSpanProcessor):
    """Exports batches; the last one does not delay the stop of the process when no collector responds."""

    def shutdown(self) -> None:
        """Export what is queued, for a bounded time."""
        timer = threading.Timer(_LAST_EXPORT_SECONDS, self.span_exporter.shutdown)
        timer.daemon = True
        timer.start()
        super().shutdown()  # type: ignore[no-untyped-call]
        timer.cancel()


def configure(process: str, exporter: str = "none") -> None:
    """Install a tracer provider for this process; ``otlp`` reads the standard ``OTEL_EXPORTER_OTLP_*`` settings."""
    # Without an exporter only the trace id is propagated: recording an unused span costs 0.1 ms per call.
    provider = TracerProvider(
        sampler=_NEVER if exporter == "none" else ParentBased(ALWAYS_ON),
        resource=Resource.create({"service.name": process, "service.namespace": "partstream"}),
    )
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(_Batches(OTLPSpanExporter()))
    elif exporter == "console":
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)


def shutdown() -> None:
    """Export what is queued."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def _is_long_stream(call: Any) -> bool:
    """Watches and snapshots carry ``traceparent`` per change; a span over them would stay open for days."""
    raw = getattr(call, "method", "") or ""
    method = raw.decode() if isinstance(raw, bytes) else str(raw)
    return method.rpartition("/")[2].startswith(("Watch", "Snapshot")) or method.startswith("/grpc.")


def server_interceptors() -> Sequence[grpc.aio.ServerInterceptor]:
    """Return the interceptors of servers; none without an exporter, see ``traceparent_of_call``. Configure first."""
    if not _exports():
        return ()
    return (aio_server_interceptor(filter_=filters.negate(_is_long_stream)),)  # type: ignore[no-untyped-call]


def _exports() -> bool:
    provider = trace.get_tracer_provider()
    return isinstance(provider, TracerProvider) and provider.sampler is not _NEVER


def client_interceptors() -> Sequence[grpc.aio.ClientInterceptor]:
    """Return the interceptors of channels."""
    return list(aio_client_interceptors(filter_=filters.negate(_is_long_stream)))  # type: ignore[no-untyped-call]


def current_traceparent() -> str:
    """Return the W3C trace context of the present span; empty when there is none."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


def traceparent_of_call(received: str) -> str:
    """Return the trace context of the call being served, given the one that its caller sent.

    That of its span if the server is instrumented. Otherwise the caller's or a new, unsampled one: an unused span would
    cost a twelfth of a call.
    """
    if _exports():
        return current_traceparent()
    if _TRACEPARENT.fullmatch(received):
        return received
    fresh = os.urandom(24).hex()
    return f"00-{fresh[:32]}-{fresh[32:]}-00"


@contextlib.contextmanager
def following(name: str, traceparents: Sequence[str]) -> Iterator[None]:
    """Run the block in a span that applies changes: part of the write's trace, or linked to each of several writes."""
    distinct = list(dict.fromkeys(filter(None, traceparents)))
    if not distinct or (len(distinct) > 1 and not _exports()):
        yield  # links are of use only in an exported span
        return
    if not _exports():
        token = context.attach(propagate.extract({"traceparent": distinct[0]}))
        try:
            yield
        finally:
            context.detach(token)
        return
    contexts = [propagate.extract({"traceparent": text}) for text in distinct[:_LINKS_AT_MOST]]
    spans = [trace.get_current_span(found).get_span_context() for found in contexts]
    parent = contexts[0] if len(distinct) == 1 else None
    links = [] if parent else [trace.Link(span) for span in spans if span.is_valid]
    tracer = trace.get_tracer("partstream.changes")
    with tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER, links=links):
        yield
