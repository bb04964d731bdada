"""``/admin/parts``: create, replace and read parts, drafts included."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import Body, FromQuery, QueryParameter

from chassis.errors import FieldViolation, VersionConflict
from edge.http.errors import RuleBroken
from edge.http.page_tokens import Page
from edge.http.preconditions import version_etag
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import FreshRead, TaggedRead
from edge.routes.admin.part_bodies import STATUS_NUMBERS, NewPart, WholePart, full_mask, part_message
from edge.routes.dependencies import TheGate, ThePageTokens, TheServices
from edge.routes.public.parts import ORDERS, PartIdInPath, SortName
from edge.routes.write import Condition, TheWrite, Write, write_route
from edge.views.part import StaffPart, StaffPartList, StatusName, staff_part
from partstream.content.v1 import part_service_pb2


@write_route(
    "POST",
    "/parts",
    guard=permits("content:write"),
    summary="Creates a part",
    returns="The new part, at version 1.",
    status=201,
    response_headers=("Location", "ETag"),
)
async def create_part(write: TheWrite, data: Annotated[NewPart, Body()]) -> Response[StaffPart]:
    """Creates the part with version 1."""
    message = part_service_pb2.CreatePartRequest(
        part=part_message(data.part_id, data, data.status), comment=data.comment
    )
    response = await write.send(write.content.CreatePart, message)
    made = response.part
    # What is no part of the shop yet is not found there.
    place = "parts" if made.status == STATUS_NUMBERS["published"] else "admin/parts"
    headers = {"Location": f"/api/v1/{place}/{made.part_id}", "ETag": _etag(response)}
    return reply(staff_part(made), status=201, headers=headers)


@write_route(
    "PUT",
    "/parts/{part_id:str}",
    guard=permits("content:write"),
    summary="Replaces the content of a part",
    returns="The part at its new version.",
    condition=Condition.REQUIRED,
)
async def replace_part(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[WholePart, Body()],
) -> Response[StaffPart]:
    """Replaces every field, as one new version."""
    if data.part_id not in {None, part_id}:
        message = "is not the part of the address"
        detail = "part_id in the body differs from the path."
        raise RuleBroken(detail, fields=[FieldViolation("part_id", message)])
    update = part_service_pb2.UpdatePartRequest(
        part=part_message(part_id, data, data.status),
        update_mask=full_mask(data),
        comment=data.comment,
    )
    try:
        response = await write.send(write.content.UpdatePart, update, data)
    except VersionConflict as conflict:
        if conflict.current is None:  # too large to travel with an error
            await _show_current(write, part_id, conflict)
        raise
    return reply(staff_part(response.part), headers={"ETag": _etag(response)})


def _etag(
    shown: part_service_pb2.CreatePartResponse | part_service_pb2.UpdatePartResponse | part_service_pb2.GetPartResponse,
) -> str:
    return version_etag(shown.part.version, shown.revision_token, "content")


async def _show_current(write: Write, part_id: str, conflict: VersionConflict) -> None:
    """Read the current state for the problem document, with its editor and time: it may have changed again."""
    response = await write.read(write.content.GetPart, part_service_pb2.GetPartRequest(part_id=part_id))
    conflict.current = response.part
    conflict.metadata |= {
        "current_version": str(response.part.version),
        "changed_by": response.part.updated_by.username,
        "changed_at": response.part.update_time.ToJsonString(),
    }


@get(
    "/parts/{part_id:str}",
    guards=[permits("content:read")],
    summary="Returns a part with the fields that only staff may read",
    response_description="The part with all its fields.",
    operation_class=TaggedRead,
    responses=refusals(*ADMIN_READ),
)
async def get_staff_part(
    request: Request[Any, Any, Any], services: TheServices, gate: TheGate, part_id: PartIdInPath
) -> Response[StaffPart]:
    """Returns the current part in any status, read from the service."""
    message = part_service_pb2.GetPartRequest(part_id=part_id, min_revision_token=gate.wanted(request))
    response = await services.call_upstream(services.content.GetPart, message)
    return reply(staff_part(response.part), headers={"ETag": _etag(response)})


@get(
    "/parts",
    guards=[permits("content:read")],
    summary="Lists parts in every status",
    response_description="One page of parts.",
    operation_class=FreshRead,
    responses=refusals(*ADMIN_READ),
)
async def list_staff_parts(  # noqa: PLR0913 - each is a query parameter
    *,
    request: Request[Any, Any, Any],
    services: TheServices,
    gate: TheGate,
    page_tokens: ThePageTokens,
    category: Annotated[str, QueryParameter(pattern="^[a-z0-9-]{0,128}$")] = "",
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    status: FromQuery[StatusName] = "published",
    sort: FromQuery[SortName | None] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[StaffPartList]:
    """Returns a page of parts of one status."""
    filters = {"category": category, "q": q, "status": status, "sort": sort, "audience": "staff"}
    message = part_service_pb2.ListPartsRequest(
        category_id=category,
        query=q,
        status=STATUS_NUMBERS[status],
        order=ORDERS[sort],
        page_size=page_size,
        page_token=page_tokens.read(page_token, filters).upstream,
        min_revision_token=gate.wanted(request),
    )
    response = await services.call_upstream(services.content.ListParts, message)
    following = Page(response.next_page_token) if response.next_page_token else None
    items = [staff_part(part) for part in response.parts]
    return reply(StaffPartList(items, page_tokens.issue(following, filters)))
