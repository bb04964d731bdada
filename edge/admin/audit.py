"""``/admin/audit``: who changed what, when, whence and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from chassis.database import CONNECTION_LOST
from chassis.errors import StoreUnavailable
from edge.dependencies import TheAuditTrail, ThePageTokens
from edge.identity.guards import permits
from edge.moments import MomentText, optional_moment
from edge.openapi import ADMIN_READ, refusals
from edge.operations import Described
from edge.page_tokens import Page
from edge.representation import reply
from edge.views.stock import ID_PATTERN
from tasks.audit.queries import ChangeFilter, PageKey, RecordedChange, list_changes


class AuditList(msgspec.Struct):
    """A page of the trail, newest first."""

    items: list[RecordedChange]
    next_page_token: str


@get(
    "/audit",
    guards=[permits("audit:read")],
    summary="List changes",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_audit(  # noqa: PLR0913 - each is a query parameter
    *,
    trail: TheAuditTrail,
    page_tokens: ThePageTokens,
    part_id: Annotated[str | None, QueryParameter(pattern=ID_PATTERN)] = None,
    actor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    service: FromQuery[Literal["inventory", "content"] | None] = None,
    entity: Annotated[str | None, QueryParameter(max_length=100)] = None,
    since: MomentText = None,
    until: MomentText = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[AuditList]:
    """Old and new values of every change, with who made it. It follows the change by some milliseconds."""
    began, ended = optional_moment("since", since), optional_moment("until", until)
    wanted = ChangeFilter(part_id, actor, service, entity, began, ended)
    filters: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.__slots__}
    after = _key(page_tokens.read(page_token, filters))
    try:
        page = await list_changes(trail.pool, wanted, page_size=page_size, after=after)
    except CONNECTION_LOST as error:
        message = "The audit store is away."
        raise StoreUnavailable(message, retry_after_seconds=1) from error
    following = Page(f"{page.next_key.occurred_at.isoformat()} {page.next_key.id}") if page.next_key else None
    return reply(AuditList(page.items, page_tokens.issue(following, filters)))


def _key(page: Page) -> PageKey | None:
    if not page.upstream:
        return None
    occurred_at, _, ident = page.upstream.rpartition(" ")
    return PageKey(datetime.fromisoformat(occurred_at), int(ident))
