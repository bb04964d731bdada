"""``/admin/categories``: create categories."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.params import Body

from edge.http.idempotency import request_id_for
from edge.http.json_bodies import JsonBody
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_WRITE, refusals
from edge.openapi.operations import Creation
from edge.routes.admin.part_bodies import CategoryId
from edge.routes.dependencies import TheServices
from edge.upstream.clients import WRITE_SECONDS
from edge.views.category import Category, category_view
from partstream.content.v1 import part_pb2, part_service_pb2


class NewCategory(msgspec.Struct, forbid_unknown_fields=True):
    """A category to create; without a parent it stands at the top."""

    category_id: CategoryId
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    parent_id: CategoryId | None = None
    position: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0


@post(
    "/categories",
    dto=JsonBody[NewCategory],
    return_dto=None,
    guards=[permits("content:write")],
    summary="Creates a category",
    response_description="The new category.",
    operation_class=Creation,
    responses=refusals(*ADMIN_WRITE),
)
async def create_category(
    request: Request[Any, Any, Any], services: TheServices, data: Annotated[NewCategory, Body()]
) -> Response[Category]:
    """The new category."""
    message = part_service_pb2.CreateCategoryRequest(
        request_id=request_id_for(request),
        category=part_pb2.Category(
            category_id=data.category_id, parent_id=data.parent_id or "", name=data.name, position=data.position
        ),
    )
    answer = await services.ask_content(services.content.CreateCategory, message, seconds=WRITE_SECONDS)
    location = f"/api/v1/categories/{answer.category.category_id}"
    return reply(category_view(answer.category), status=201, headers={"Location": location})
