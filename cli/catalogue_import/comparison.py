"""What an import would do to the catalogue as it is: which parts are new, and which fields of others would change."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cli.catalogue_import.part_message import decided_keys, part_message
from cli.catalogue_import.stock_writer import main_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.catalogue_import.categories import CategoryTree
    from cli.catalogue_import.existing_parts import ExistingParts
    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from partstream.content.v1.part_pb2 import Part
    from stack.service_calls.retrying_calls import RetryingCalls
    from stack.service_calls.service_access import Services


class Comparison:
    """Compares batches of rows with the catalogue; writes nothing."""

    def __init__(
        self,
        services: Services,
        calls: RetryingCalls,
        existing: ExistingParts,
        tree: CategoryTree,
        report: Report,
        *,
        currency: str,
        clear_empty: bool,
        set_stock: bool,
    ) -> None:
        self._services = services
        self._calls = calls
        self._existing = existing
        self._tree = tree
        self._report = report
        self._currency = currency
        self._clear_empty = clear_empty
        self._set_stock = set_stock

    async def compare(self, batch: Sequence[PreparedRow]) -> None:
        """Count what writing the batch would do."""
        present = await self._existing.of([row.part.sku for row in batch])
        for row in batch:
            part = present.get(row.part.sku)
            outcome = "parts_would_be_created" if part is None else self._compare_part(row, part)
            self._report.counts[outcome] += 1
        await self._compare_stock([row for row in batch if row.part.stock is not None])

    def _compare_part(self, row: PreparedRow, present: Part) -> str:
        wanted = part_message(row.part, "", self._currency, "" if "title" in row.part.given else present.title)
        differing = [
            key
            for key in decided_keys(row.part, clear_empty=self._clear_empty)
            if (self._moves(row, present) if key == "category" else _SHOWN[key](wanted) != _SHOWN[key](present))
        ]
        for key in differing:
            self._report.note_change(key, is_cleared=key in row.part.emptied)
        return "parts_would_change" if differing else "parts_would_not_change"

    def _moves(self, row: PreparedRow, present: Part) -> bool:
        found = self._tree.find(row.part.category)
        return found is None or found[-1].category_id != present.category_id

    async def _compare_stock(self, counted: Sequence[PreparedRow]) -> None:
        levels = await main_levels(self._services.inventory, self._calls, [row.part.sku for row in counted])
        for row in counted:
            level = levels.get(row.part.sku)
            if level is None:
                self._report.counts["levels_would_be_created"] += 1
            elif level.on_hand == row.part.stock:
                self._report.counts["levels_equal"] += 1
            elif self._set_stock:
                self._report.note_change("stock", is_cleared=False)
                self._report.counts["levels_would_be_set"] += 1
            else:
                self._report.counts["levels_different_left_alone"] += 1


def _specifications(part: Part) -> dict[str, tuple[str | None, Any]]:
    fields = part.specifications.fields
    kinds = {name: value.WhichOneof("kind") for name, value in fields.items()}
    return {name: (kind, getattr(fields[name], kind) if kind else None) for name, kind in kinds.items()}


def _prices(part: Part) -> tuple[Any, ...]:
    price = (part.price.amount_minor, part.price.currency) if part.HasField("price") else None
    return price, [(step.from_quantity, Decimal(step.unit_price)) for step in part.price_breaks]


# What a key of the file shows of a part, as values that are equal where the service writes nothing.
_SHOWN: dict[str, Callable[[Part], Any]] = {
    "title": lambda part: part.title,
    "description": lambda part: part.description,
    "specs": _specifications,
    "image": lambda part: [(image.url, image.alt, image.width, image.height) for image in part.images],
    "prices": _prices,
    "mpn": lambda part: part.mpn,
    "manufacturer": lambda part: part.manufacturer,
    "datasheet": lambda part: part.datasheet_url,
}
