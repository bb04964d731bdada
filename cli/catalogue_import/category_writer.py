"""Creates the categories that a file names and the catalogue lacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chassis.errors import CategoryExists
from cli.catalogue_import.categories import CategoryTree, KnownCategory
from cli.catalogue_import.treatments import Treatment
from partstream.content.v1 import part_pb2, part_service_pb2
from stack.service_calls.task_errors import first_error_only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls
    from stack.service_calls.run_journal import RunJournal

CALLS_UNDER_WAY = 8


async def category_tree(content: ContentServiceAsyncStub, calls: RetryingCalls) -> CategoryTree:
    """Return the categories that exist."""
    answer = await calls(content.ListCategories, part_service_pb2.ListCategoriesRequest())
    return CategoryTree(KnownCategory(each.category_id, each.parent_id, each.name) for each in answer.categories)


class CategoryWriter:
    """Returns the category ids of rows; creates missing categories from the top."""

    def __init__(
        self, content: ContentServiceAsyncStub, calls: RetryingCalls, journal: RunJournal, report: Report
    ) -> None:
        self._content = content
        self._calls = calls
        self._journal = journal
        self._report = report
        self._tree = CategoryTree()
        self._under_way = asyncio.Semaphore(CALLS_UNDER_WAY)

    async def load(self) -> None:
        """Learn the categories that exist."""
        self._tree = await category_tree(self._content, self._calls)

    async def place(self, rows: Sequence[PreparedRow], existing: Mapping[str, part_pb2.Part]) -> list[str]:
        """Return the category id of each row; a name spelt otherwise than the category's own is noted.

        A row without a category is left where its part is, if that exists.
        """
        stay = {row.part.sku for row in rows if "category" not in row.part.given} & existing.keys()
        paths = dict.fromkeys(row.part.category for row in rows if row.part.sku not in stay)
        for depth in range(1, max(map(len, paths), default=0) + 1):
            level = dict.fromkeys(path[:depth] for path in paths if len(path) >= depth)
            await self._create_all([planned for path in level if (planned := self._tree.plan(path)) is not None])
        return [existing[row.part.sku].category_id if row.part.sku in stay else self._found(row) for row in rows]

    def _found(self, row: PreparedRow) -> str:
        path = row.part.category
        found = self._tree.find(path) or []
        if tuple(category.name for category in found) != path:
            row.notes.add(Treatment.CATEGORY_SPELLING_MERGED, "category", list(path))
        return found[-1].category_id

    async def _create_all(self, planned: Sequence[KnownCategory]) -> None:
        with first_error_only():
            async with asyncio.TaskGroup() as group:
                for category in planned:
                    group.create_task(self._create(category))

    async def _create(self, planned: KnownCategory) -> None:
        async with self._under_way:
            try:
                await self._send(planned)
            except CategoryExists:
                # Deleted, or made under another name since the list was read: the id is not ours to use.
                await self._send(self._tree.plan_again(planned))
        self._report.counts["categories_created"] += 1

    async def _send(self, category: KnownCategory) -> None:
        request = part_service_pb2.CreateCategoryRequest(
            category=part_pb2.Category(
                category_id=category.category_id, parent_id=category.parent_id, name=category.name
            )
        )
        request.request_id = self._journal.request_id_of("category", request)
        await self._calls(self._content.CreateCategory, request)
