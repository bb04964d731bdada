"""The context of the request being served; the middleware sets it."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chassis.caller import ANONYMOUS, Caller

if TYPE_CHECKING:
    from uuid import UUID

    from edge.http.errors import TooManyRequests


@dataclass(slots=True)
class RequestContext:
    """Facts about a request, and what its response will report."""

    request_id: str = ""
    client_ip: str = ""
    traceparent: str = ""
    caller: Caller = ANONYMOUS
    bearer: str = ""
    # Position of the followers at the start of the request, then the revisions of its reads and writes.
    revisions: list[str] = field(default_factory=list)
    # By log, the epoch in which the follower had reached the requested revision.
    promised: dict[str, UUID] = field(default_factory=dict)
    # Each log with the epoch of what this response shows of it; more than one while a restore is being detected.
    epochs: set[tuple[str, UUID]] = field(default_factory=set)
    replayed: bool = False
    # The request has a session cookie: the response sets a revision cookie, and no cache may share it.
    by_cookie: bool = False
    # The request has an invalid session cookie: the response removes it.
    stale_cookie: bool = False
    # The client uses https, according to the listener or a trusted proxy.
    secure: bool = False
    # The Origin header of a browser.
    origin: str = ""
    # There is an Authorization header: an error response names what is wrong with it (RFC 6750, 3.1).
    with_credentials: bool = False
    # 412 instead of 409 when the condition was sent as If-Match (RFC 9110, 13.1.1).
    conflict_status: int = 409
    # The error of a request beyond the rate limit of its caller.
    rejection: TooManyRequests | None = None
    # The caller's rate limit and its remainder.
    limit_headers: tuple[tuple[bytes, bytes], ...] = ()
    route: str = ""
    started: float = field(default_factory=time.perf_counter)

    def epoch_of(self, log: str) -> UUID | None:
        """Return the epoch of what this response shows of a log."""
        return next((epoch for name, epoch in self.epochs if name == log), None)

    def record_revision(self, revision_token: str) -> None:
        """Add a revision that the response shows or wrote."""
        if revision_token and revision_token not in self.revisions:
            self.revisions.append(revision_token)


_current: ContextVar[RequestContext | None] = ContextVar("partstream_request_context", default=None)


def current_request_context() -> RequestContext:
    """Return the context of the request being served; outside a request, an unused one."""
    return _current.get() or RequestContext()


def set_request_context(context: RequestContext) -> None:
    """Set the context of the current task."""
    _current.set(context)
