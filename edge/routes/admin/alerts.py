"""``/admin/alerts``: conditions that require an operator."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation

from chassis.database import Database
from chassis.store_errors import STORE_FAILURES, translated
from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import Described
from edge.routes.dependencies import ThePageTokens
from tasks.alerts import queries
from tasks.alerts.queries import AlertRow

TheAlertDatabase: TypeAlias = NamedDependency[SkipValidation[Database]]


class AlertList(msgspec.Struct):
    """A page of alerts, newest first."""

    items: list[AlertRow]
    next_page_token: str


@get(
    "/alerts",
    guards=[permits("audit:read")],
    summary="Lists alerts",
    response_description="One page of alerts, newest first.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_alerts(
    *,
    alert_database: TheAlertDatabase,
    page_tokens: ThePageTokens,
    alert_state: Annotated[Literal["firing", "resolved"] | None, QueryParameter(name="state")] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[AlertList]:
    """Returns alerts that are firing or were resolved within the last 90 days.

    Several processes may report the same condition; each alert names its `reporter`. When a process ends without
    resolving its alerts, they are resolved after a minute with the `resolution` `no longer reported`.
    """
    filters = {"state": alert_state, "list": "alerts"}
    key = page_tokens.read(page_token, filters).upstream
    fired_at, _, alert_id = key.rpartition(" ")
    after = (datetime.fromisoformat(fired_at), UUID(alert_id)) if key else None
    try:
        items, more = await queries.list_alerts(alert_database.pool, alert_state, after, page_size)
    except STORE_FAILURES as error:
        raise translated(error) or error from error
    following = Page(f"{items[-1].fired_at.isoformat()} {items[-1].alert_id}") if more else None
    return reply(AlertList(items, page_tokens.issue(following, filters)))
