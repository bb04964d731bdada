"""``/admin/categories``: create categories."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response
from litestar.params import Body

from edge.http.representation import reply
from edge.identity.guards import permits
from edge.routes.admin.part_bodies import CategoryId
from edge.routes.write import TheWrite, write_route
from edge.views.category import Category, category_view
from partstream.content.v1 import part_pb2, part_service_pb2


class NewCategory(msgspec.Struct, forbid_unknown_fields=True):
    """A category to create; without a parent it is a root category."""

    category_id: CategoryId
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    parent_id: CategoryId | None = None
    position: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0


@write_route(
    "POST",
    "/categories",
    guard=permits("content:write"),
    summary="Creates a category",
    returns="The new category.",
    status=201,
    response_headers=("Location",),
)
async def create_category(write: TheWrite, data: Annotated[NewCategory, Body()]) -> Response[Category]:
    """Returns the new category."""
    message = part_service_pb2.CreateCategoryRequest(
        category=part_pb2.Category(
            category_id=data.category_id, parent_id=data.parent_id or "", name=data.name, position=data.position
        ),
    )
    response = await write.send(write.content.CreateCategory, message)
    location = f"/api/v1/categories/{response.category.category_id}"
    return reply(category_view(response.category), status=201, headers={"Location": location})
