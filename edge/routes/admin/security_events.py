"""``/admin/security-events``: sign-ins, rejections and changes of accounts."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation

from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.identity.security_events import SecurityEvent, SecurityEvents
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import Described
from edge.routes.dependencies import ThePageTokens

TheEvents: TypeAlias = NamedDependency[SkipValidation[SecurityEvents]]


class SecurityEventList(msgspec.Struct):
    """A page of security events, newest first."""

    items: list[SecurityEvent]
    next_page_token: str


@get(
    "/security-events",
    guards=[permits("audit:read")],
    summary="Lists security events",
    response_description="One page of security events, newest first.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_security_events(
    *,
    events: TheEvents,
    page_tokens: ThePageTokens,
    kind: Annotated[str | None, QueryParameter(max_length=100)] = None,
    username: Annotated[str | None, QueryParameter(max_length=64)] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[SecurityEventList]:
    """Returns sign-ins, rejected requests and changes of accounts."""
    filters = {"kind": kind, "username": username, "list": "security-events"}
    before = page_tokens.read(page_token, filters).upstream
    items, more = await events.page(
        kind=kind, username=username, before=int(before) if before else None, size=page_size
    )
    following = Page(str(items[-1].event_id)) if more else None
    return reply(SecurityEventList(items, page_tokens.issue(following, filters)))
