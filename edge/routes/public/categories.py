"""``/categories``: the category tree."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import PathParameter

from chassis.errors import NotFound, ResourceRef
from edge.http.representation import Representation, respond
from edge.identity.guards import known
from edge.openapi.document import PUBLIC_READ, refusals
from edge.openapi.operations import CachedRead
from edge.routes.dependencies import TheShop
from edge.routes.public.pages import render_tree
from edge.views.category import CategoryPage, CategoryTree, category_page


@get(
    "/categories",
    guards=[known],
    summary="Lists categories",
    response_description="The root categories, each with the categories below it.",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def list_categories(request: Request[Any, Any, Any], shop: TheShop) -> Response[CategoryTree]:
    """Returns the tree with the number of published parts in each category and its descendants."""
    categories, status = await shop.reads.categories(await shop.gate.settle(request))
    return respond(request, render_tree(cache=shop.cache, categories=categories), cache_status=status)


@get(
    "/categories/{category_id:str}",
    guards=[known],
    summary="Returns a category",
    response_description="The category and those directly below it.",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def get_category(
    request: Request[Any, Any, Any],
    shop: TheShop,
    category_id: Annotated[str, PathParameter(pattern="^[a-z0-9-]{1,128}$")],
) -> Response[CategoryPage]:
    """Returns a category and its direct children."""
    categories, status = await shop.reads.categories(await shop.gate.settle(request))
    found = next((item for item in categories if item.category_id == category_id), None)
    if found is None:
        message = f"There is no category {category_id}."
        raise NotFound(message, reason="CATEGORY_NOT_FOUND", resource=ResourceRef("category", category_id))
    return respond(request, Representation.of(category_page(found, categories)), cache_status=status)
