"""gRPC channels to the services: the options that client and server agree on, and the caller's token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc

from chassis import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chassis.tls import ClientTls

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
KEEPALIVE_MS = 20_000  # of the server: a dead client is detected within 30 s
# Of a client: a suspended server process keeps its connections, and is detected within 3 s. The library responds to
# pings from threads of its own, also while the event loop is busy.
CLIENT_KEEPALIVE_MS = 1_000
CLIENT_KEEPALIVE_TIMEOUT_MS = 2_000  # the library has two settings for this; the other one is 60 s unless set

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", CLIENT_KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", CLIENT_KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", CLIENT_KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),  # no limit
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)


def address(targets: Sequence[str]) -> str:
    """Return one gRPC target for several replicas on known addresses."""
    return targets[0] if len(targets) == 1 else "ipv4:" + ",".join(targets)


def open_channel(
    targets: Sequence[str],
    *,
    token: Callable[[], str] | None = None,
    tls: ClientTls | None = None,
) -> grpc.aio.Channel:
    """Return a channel over all replicas of one service.

    ``token()`` is sent with calls that have no ``authorization`` of their own. Open one channel for unary calls and
    another for watches: a stream that fills its connection's window must not delay a call. Without ``tls`` the channel
    is plaintext.
    """
    options = [*OPTIONS, ("grpc.service_config", _SERVICE_CONFIG)]
    interceptors: list[grpc.aio.ClientInterceptor] = list(telemetry.client_interceptors())
    if token is not None:
        interceptors += [_UnaryToken(token), _StreamToken(token)]
    if tls is None:
        return grpc.aio.insecure_channel(address(targets), options=options, interceptors=interceptors)
    if len(targets) > 1:
        # One certificate for all replicas, checked against the first one's host: gRPC would check it against the list.
        options.append(("grpc.ssl_target_name_override", targets[0].rpartition(":")[0].strip("[]")))
    return grpc.aio.secure_channel(address(targets), tls.grpc_credentials(), options=options, interceptors=interceptors)


class _Token:
    """Adds the process's own token where the call has none."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def with_token(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        """Return the call's details with an ``authorization``."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if metadata.get("authorization") is None:
            metadata.add("authorization", f"Bearer {self._token()}")
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryToken(_Token, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self.with_token(client_call_details), request)


class _StreamToken(_Token, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self.with_token(client_call_details), request)
