"""Rate limits of requests: by user for authenticated callers, by address for guests.

A request is checked before anything else is done for it, and from memory only: the first request of a session that
this process has not loaded yet counts for its address.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from chassis.addresses import site_of
from chassis.rates import READS, RESERVATIONS, SIGN_IN, WRITES, Quota, Quotas
from edge.http.errors import TooManyRequests
from edge.metrics import RATE_LIMITED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Counter

    from chassis.caller import Caller
    from edge.http.request_context import RequestContext

log = logging.getLogger("edge.http.limits")

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_API: Final = ("api", "v1")
_SIGN_IN: Final = frozenset({("auth", "login"), ("auth", "session"), ("auth", "register")})
_UNLIMITED: Final = "/health"


class Recognises(Protocol):
    """Authenticates callers from memory."""

    def recognise(self, authorization: str, cookies: str, *, secure: bool) -> Caller | None:
        """Return the caller of a token or of a session cookie; ``None`` for a guest and for an invalid token."""


class RateLimiter:
    """Applies the rate limits in one process."""

    def __init__(self, quotas: Quotas, identity: Recognises) -> None:
        """Count in ``quotas``."""
        self._quotas = quotas
        self._identity = identity
        self._policies = {id(quota): _policy(quota) for quota in quotas}
        self._counters: dict[tuple[int, bool], Counter] = {
            (id(quota), allowed): RATE_LIMITED.labels(quota.name, quota.role, "allowed" if allowed else "refused")
            for quota in quotas
            for allowed in (True, False)
        }

    def admit(
        self, method: str, path: str, headers: Mapping[bytes, bytes], context: RequestContext
    ) -> TooManyRequests | None:
        """Count a request and set its headers in the context; return the error of one beyond its quota."""
        if path.startswith(_UNLIMITED):
            return None
        name = class_of(method, path)
        caller = None if name == SIGN_IN else self._caller(headers, context)
        if caller is None:
            key, quota = site_of(context.client_ip), self._quotas.of_guest(name)
        else:
            key, quota = caller.user_id, self._quotas.of_roles(name, caller.roles)
        allowed, remaining, reset, is_first = quota.take(key)
        self._counters[id(quota), allowed].inc()
        context.limit_headers = (
            (b"ratelimit-policy", self._policies[id(quota)]),
            (b"ratelimit", f'"{name}";r={remaining};t={reset}'.encode()),
        )
        if allowed:
            return None
        if is_first:
            log.info(
                "rate limit reached class=%s role=%s",
                name,
                quota.role,
                extra={"client_ip": context.client_ip, "user": "" if caller is None else caller.username},
            )
        message = f"Your limit is {quota.rate.amount} requests of class {name} in {quota.rate.seconds} s."
        return TooManyRequests(message, retry_after_seconds=reset)

    def _caller(self, headers: Mapping[bytes, bytes], context: RequestContext) -> Caller | None:
        authorization, cookies = headers.get(b"authorization"), headers.get(b"cookie")
        if authorization is None and cookies is None:
            return None
        return self._identity.recognise(
            (authorization or b"").decode("latin-1"), (cookies or b"").decode("latin-1"), secure=context.secure
        )


def class_of(method: str, path: str) -> str:
    """Return the class of a request. Empty segments do not count, as they do not for the routes."""
    if method in _SAFE:
        return READS
    segments = tuple(segment for segment in path.split("/") if segment)
    if segments[:2] != _API:
        return WRITES
    if method == "POST" and segments[2:] in _SIGN_IN:
        return SIGN_IN
    return RESERVATIONS if segments[2:3] == ("reservations",) else WRITES


def _policy(quota: Quota) -> bytes:
    return f'"{quota.name}";q={quota.rate.amount};w={quota.rate.seconds}'.encode()
