"""``/admin/followers``: list and remove the followers of the services' change logs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, get
from litestar.params import PathParameter

from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import Described
from edge.routes.dependencies import TheServices
from edge.routes.write import unlogged_write_route
from edge.upstream.clients import WRITE_SECONDS
from partstream.changes.v1.change_log_service_pb2 import FollowerPosition, ListFollowersRequest, RemoveFollowerRequest

FOLLOWER_NAME: Final = "^[a-z0-9-]{1,64}$"
SERVICE_NAME: Final = "^(inventory|content)$"


class FollowerView(msgspec.Struct):
    """A follower of a service's log. Entries after ``revision`` are retained for it, unless it is ``inactive``."""

    service: Literal["inventory", "content"]
    name: str
    revision: int
    sent_revision: int
    registered_by: str
    reported_at: datetime
    inactive: bool


class FollowerList(msgspec.Struct):
    """Every follower, by service and name."""

    items: list[FollowerView]
    next_page_token: str = ""


@get(
    "/followers",
    guards=[permits("changes:read")],
    summary="Lists the registered followers of both change logs",
    response_description="All followers, by service and name.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_followers(services: TheServices) -> Response[FollowerList]:
    """Returns the registered followers of both services."""
    request = ListFollowersRequest()
    content, inventory = await asyncio.gather(
        services.call_upstream(services.content_log.ListFollowers, request),
        services.call_upstream(services.inventory_log.ListFollowers, request),
    )
    views = [_view("content", item) for item in content.followers]
    return reply(FollowerList(views + [_view("inventory", item) for item in inventory.followers]))


@unlogged_write_route(
    "DELETE",
    "/followers/{service:str}/{name:str}",
    reason="positions of followers are not logged: every read of them goes to the service",
    guard=permits("followers:write"),
    summary="Removes a follower",
    returns="The follower is removed.",
    status=204,
    statuses=(*ADMIN_READ, 404, 415),
)
async def remove_follower(
    services: TheServices,
    service: Annotated[str, PathParameter(pattern=SERVICE_NAME)],
    name: Annotated[str, PathParameter(pattern=FOLLOWER_NAME)],
) -> None:
    """Removes the follower: entries are no longer retained for it. A running follower registers again."""
    request = RemoveFollowerRequest(name=name)
    if service == "inventory":
        await services.call_upstream(services.inventory_log.RemoveFollower, request, seconds=WRITE_SECONDS)
    else:
        await services.call_upstream(services.content_log.RemoveFollower, request, seconds=WRITE_SECONDS)


def _view(service: Literal["inventory", "content"], follower: FollowerPosition) -> FollowerView:
    return FollowerView(
        service=service,
        name=follower.name,
        revision=follower.revision,
        sent_revision=follower.sent_revision,
        registered_by=follower.registered_by,
        reported_at=follower.report_time.ToDatetime(tzinfo=UTC),
        inactive=follower.inactive,
    )
