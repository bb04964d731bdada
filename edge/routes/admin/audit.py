"""``/admin/audit``: the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import FromQuery, QueryParameter

from chassis.store_errors import STORE_FAILURES, translated
from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.http.timestamps import TimestampText, optional_query_timestamp
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import FreshRead
from edge.routes.dependencies import TheAuditTrail, TheGate, ThePageTokens
from edge.views.stock import ID_PATTERN
from tasks.audit.queries import ChangeFilter, PageKey, RecordedChange, list_changes


class AuditList(msgspec.Struct):
    """A page of the trail, newest first.

    ``complete``: the trail holds every change made through this edge before the request, and those up to
    ``Partstream-Min-Revision``. ``false``: the newest may be missing; send the request again later.
    """

    items: list[RecordedChange]
    next_page_token: str
    complete: bool


@get(
    "/audit",
    guards=[permits("audit:read")],
    summary="Lists entries of the audit trail",
    response_description="One page of the audit trail, newest first.",
    operation_class=FreshRead,
    responses=refusals(*ADMIN_READ),
)
async def list_audit_entries(  # noqa: PLR0913 - each is a query parameter
    *,
    request: Request[Any, Any, Any],
    trail: TheAuditTrail,
    gate: TheGate,
    page_tokens: ThePageTokens,
    part_id: Annotated[str | None, QueryParameter(pattern=ID_PATTERN)] = None,
    actor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    service: FromQuery[Literal["inventory", "content"] | None] = None,
    entity: Annotated[str | None, QueryParameter(max_length=100)] = None,
    since: TimestampText = None,
    until: TimestampText = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[AuditList]:
    """Returns old and new values of every change, with its actor.

    The trail is written about 50 ms after a change. The response waits until it has every change made through this
    edge before the request, and those up to `Partstream-Min-Revision`; after 2 s it is sent with `complete` as `false`,
    and the newest changes may be missing: the worker or its queue is unavailable. Without Redis it does not wait.
    """
    began, ended = optional_query_timestamp("since", since), optional_query_timestamp("until", until)
    wanted = ChangeFilter(part_id, actor, service, entity, began, ended)
    filters: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.__slots__}
    after = _key(page_tokens.read(page_token, filters))
    shown = [position for log, position in gate.newest(request).items() if service in {None, log}]
    try:
        complete = await trail.reached(shown)
        page = await list_changes(trail.database, wanted, page_size=page_size, after=after)
    except STORE_FAILURES as error:
        raise translated(error) or error from error
    following = Page(f"{page.next_key.occurred_at.isoformat()} {page.next_key.id}") if page.next_key else None
    return reply(AuditList(page.items, page_tokens.issue(following, filters), complete))


def _key(page: Page) -> PageKey | None:
    if not page.upstream:
        return None
    occurred_at, _, ident = page.upstream.rpartition(" ")
    return PageKey(datetime.fromisoformat(occurred_at), int(ident))
