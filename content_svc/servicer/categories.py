"""Methods of categories."""

# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
from __future__ import annotations

from typing import TYPE_CHECKING

from content_svc.commands.categories import create_category
from content_svc.convert.requests import category_from_message
from content_svc.convert.responses import category_message
from content_svc.servicer.base import Base, Context, write_request
from partstream.content.v1 import part_service_pb2 as pb

if TYPE_CHECKING:
    from content_svc.domain.category import Category


class Categories(Base):
    """Writes and reads of categories."""

    async def CreateCategory(self, request: pb.CreateCategoryRequest, context: Context) -> pb.CreateCategoryResponse:
        """Create a category."""

        def respond(category: Category) -> pb.CreateCategoryResponse:
            return pb.CreateCategoryResponse(category=category_message(category))

        write = write_request(request, "CreateCategory")
        wanted = category_from_message(request.category)
        return await self.write(
            lambda encode: create_category(self.transactions, write, wanted, encode),
            pb.CreateCategoryResponse,
            respond,
        )

    async def ListCategories(self, request: pb.ListCategoriesRequest, context: Context) -> pb.ListCategoriesResponse:
        """Return the tree of categories."""
        await self.feed.wait_for(request.min_revision_token)
        tree, revision = await self.queries.list_categories()
        return pb.ListCategoriesResponse(
            categories=map(category_message, tree), revision_token=self.feed.token_for(revision)
        )
