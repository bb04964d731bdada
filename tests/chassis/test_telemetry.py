"""The trace of a call, with and without an exporter."""

import os
import socket
import subprocess
import sys

import pytest

from chassis import telemetry

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_callers_trace_continues() -> None:
    assert telemetry.traceparent_of_call(GIVEN) == GIVEN


@pytest.mark.parametrize("received", ["", "00-", GIVEN.upper(), f"00-{'0' * 32}-{'1' * 16}-01", GIVEN + "\n"])
def test_without_a_trace_a_new_one_starts(received: str) -> None:
    first, second = telemetry.traceparent_of_call(received), telemetry.traceparent_of_call(received)

    assert first != second
    assert telemetry.traceparent_of_call(first) == first
    assert first.endswith("-00")


@pytest.mark.parametrize(("exporter", "interceptors"), [("none", 0), ("console", 1)])
def test_servers_are_instrumented_with_an_exporter(exporter: str, interceptors: int) -> None:
    program = (
        "from chassis import telemetry;"
        f"telemetry.configure('test', {exporter!r});"
        "print(len(telemetry.server_interceptors()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(interceptors)


def test_a_collector_that_does_not_respond_does_not_delay_the_stop() -> None:
    """Every process of a stack had to be killed while the collector was unavailable."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = (
            "from chassis import telemetry;"
            "from opentelemetry import trace;"
            "telemetry.configure('test', 'otlp');"
            "trace.get_tracer('test').start_span('last').end();"
            "telemetry.shutdown()"
        )
        environment = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",  # the exporter's own timeout, in seconds
        }

        # The library itself would wait for 30 s.
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, timeout=25)


def test_a_change_is_applied_in_the_trace_of_its_write_without_an_exporter() -> None:
    with telemetry.following("follow", [GIVEN, GIVEN]):
        assert telemetry.current_traceparent() == GIVEN

    with telemetry.following("follow", [GIVEN, GIVEN.replace("0af", "1af")]):
        assert telemetry.current_traceparent() == ""
    assert telemetry.current_traceparent() == ""
