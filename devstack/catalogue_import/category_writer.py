"""Creates the categories that a file names and the catalogue lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import CategoryExists
from devstack.catalogue_import.categories import CategoryTree, KnownCategory
from devstack.catalogue_import.treatments import Treatment
from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from devstack.catalogue_import.prepare import PreparedRow
    from devstack.catalogue_import.report import Report
    from devstack.patient_calls import PatientCalls
    from devstack.run_journal import RunJournal
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub


class CategoryWriter:
    """Answers the category id of a row, creating what is missing on the way from the top."""

    def __init__(
        self, content: ContentServiceAsyncStub, calls: PatientCalls, journal: RunJournal, report: Report
    ) -> None:
        self._content = content
        self._calls = calls
        self._journal = journal
        self._report = report
        self._tree = CategoryTree()

    async def load(self) -> None:
        """Learn the categories that exist."""
        answer = await self._calls(self._content.ListCategories, part_service_pb2.ListCategoriesRequest())
        for each in answer.categories:
            self._tree.learn(KnownCategory(each.category_id, each.parent_id, each.name))

    async def category_id(self, row: PreparedRow) -> str:
        """Answer the id of the row's category; a name spelt otherwise than the category's own is noted."""
        path = row.part.category
        found = self._tree.find(path)
        if found is None:
            for category in self._tree.missing(path):
                await self._create(category)
            found = self._tree.find(path) or []
        if tuple(category.name for category in found) != path:
            row.notes.add(Treatment.CATEGORY_SPELLING_MERGED, "category", list(path))
        return found[-1].category_id

    async def _create(self, category: KnownCategory) -> None:
        request = part_service_pb2.CreateCategoryRequest(
            request_id=self._journal.request_id("category", category.category_id, category.name),
            category=part_pb2.Category(
                category_id=category.category_id, parent_id=category.parent_id, name=category.name
            ),
        )
        try:
            await self._calls(self._content.CreateCategory, request)
        except CategoryExists:
            # Somebody was quicker, or an earlier run with another id for this request was.
            await self.load()
        else:
            self._report.counts["categories_created"] += 1
        self._tree.learn(category)
