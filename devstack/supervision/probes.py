"""Asks a process how it is. Every probe answers within PROBE_TIMEOUT_SECONDS and never raises."""

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from devstack.servers import postgres, redis
from devstack.stack_state import ProcessState
from devstack.supervision.leftovers import is_alive

PROBE_TIMEOUT_SECONDS = 2.0


def is_healthy(process: ProcessState) -> bool:
    """Say whether the process does its work now."""
    return is_alive(process) and PROBES[process.probe](process)


def _postgres(process: ProcessState) -> bool:
    return postgres.is_ready(process.target)


def _redis(process: ProcessState) -> bool:
    return redis.is_ready(process.target)


def _grpc(process: ProcessState) -> bool:
    with grpc.insecure_channel(process.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _http(process: ProcessState) -> bool:
    address = urlsplit(process.target)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _said_ready(process: ProcessState) -> bool:
    return process.ready


PROBES: dict[str, Callable[[ProcessState], bool]] = {
    "postgres": _postgres,
    "redis": _redis,
    "grpc": _grpc,
    "http": _http,
    # Without a port of its own: it writes a line with the word `ready`; from then on it is healthy while it lives.
    "log": _said_ready,
}
