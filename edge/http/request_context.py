"""The context of the request being served: set by the middleware, read by everything that handles it."""

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
    """One request and what its answer will say about itself."""

    request_id: str = ""
    client_ip: str = ""
    traceparent: str = ""
    caller: Caller = ANONYMOUS
    bearer: str = ""
    # Position of the followers when the request began, then whatever its reads and writes add.
    revisions: list[str] = field(default_factory=list)
    # The epoch, by log, in which the followers were found to have what the caller asked for.
    promised: dict[str, UUID] = field(default_factory=dict)
    # Each log with the epoch of what this response shows of it; more than one while a restore becomes known.
    epochs: set[tuple[str, UUID]] = field(default_factory=set)
    replayed: bool = False
    # The caller came with a session cookie: it gets its revision in a cookie too, and no cache may share its answers.
    by_cookie: bool = False
    # The caller came with a session cookie that is no longer good: the response removes it.
    stale_cookie: bool = False
    # The caller reached us by https, as far as we or a trusted proxy know.
    secure: bool = False
    # The page that sends the request, as its browser names it.
    origin: str = ""
    # There is an Authorization header: a refusal names its error (RFC 6750, 3.1).
    with_credentials: bool = False
    # 412 instead of 409 when the caller's condition came by If-Match (RFC 9110, 13.1.1).
    conflict_status: int = 409
    # The request is beyond a limit of its caller.
    refusal: TooManyRequests | None = None
    # The caller's rate limit and what is left of it.
    limit_headers: tuple[tuple[bytes, bytes], ...] = ()
    route: str = ""
    started: float = field(default_factory=time.perf_counter)

    def epoch_of(self, log: str) -> UUID | None:
        """Return the epoch of what this response shows of a log."""
        return next((epoch for name, epoch in self.epochs if name == log), None)

    def record_revision(self, revision_token: str) -> None:
        """Remember that this answer shows, or wrote, the state of a revision."""
        if revision_token and revision_token not in self.revisions:
            self.revisions.append(revision_token)


_current: ContextVar[RequestContext | None] = ContextVar("partstream_request_context", default=None)


def current_request_context() -> RequestContext:
    """The context of the request being served; outside a request, one that nobody reads."""
    return _current.get() or RequestContext()


def set_request_context(context: RequestContext) -> None:
    """Make this the context of the present task."""
    _current.set(context)
