"""Stock numbers and reorder points, written to a running inventory service."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.catalogue_import.prepare import PreparedRow
from cli.catalogue_import.report import Report
from cli.catalogue_import.row import catalogue_part
from cli.catalogue_import.stock_writer import StockWriter
from partstream.inventory.v1 import stock_service_pb2 as pb
from stack.service_calls.retrying_calls import RetryingCalls
from stack.service_calls.run_journal import RunJournal
from tests.inventory_svc.running import Running, running


@pytest.fixture
async def inventory(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(inventory_dsn, tmp_path) as service:
        yield service


def row(stock: int, reorder_point: int) -> PreparedRow:
    part, notes = catalogue_part({"sku": "A", "title": "A", "stock": stock, "reorder_point": reorder_point})
    return PreparedRow(1, part, notes)


async def write(inventory: Running, folder: Path, *, set_stock: bool = False, stock: int = 5) -> Counter[str]:
    """Import one row as the run of this folder, which stays unfinished."""
    report = Report(folder / "rejects.jsonl", None)
    journal = RunJournal.open(folder, "import", "file")
    await StockWriter(inventory.staff, RetryingCalls(10), journal, report, set_stock=set_stock).write([row(stock, 9)])
    report.close()
    return report.counts


async def level(inventory: Running) -> tuple[int, int, int]:
    response = await inventory.staff.GetStock(pb.GetStockRequest(part_id="A"))
    (found,) = response.stock.levels
    return found.on_hand, found.reorder_point, found.version


async def test_a_new_level_gets_its_reorder_point(inventory: Running, tmp_path: Path) -> None:
    counts = await write(inventory, tmp_path / "run")

    assert (await level(inventory))[:2] == (5, 9)
    assert (counts["levels_created"], counts["reorder_points_set"]) == (1, 1)


async def test_a_resumed_run_completes_a_level_that_it_had_created(inventory: Running, tmp_path: Path) -> None:
    """A run that was killed between the level and its reorder point left the level without one."""
    RunJournal.open(tmp_path / "run", "import", "file")
    await inventory.staff.SetStock(
        pb.SetStockRequest(part_id="A", location_id="main", on_hand=5, expected_version=0, allow_missing=True)
    )

    await write(inventory, tmp_path / "run")

    assert (await level(inventory))[:2] == (5, 9)


async def test_an_existing_level_is_changed_with_set_stock_only(inventory: Running, tmp_path: Path) -> None:
    await inventory.staff.SetStock(
        pb.SetStockRequest(part_id="A", location_id="main", on_hand=3, expected_version=0, allow_missing=True)
    )

    await write(inventory, tmp_path / "without")
    unchanged = await level(inventory)
    await write(inventory, tmp_path / "with", set_stock=True)

    assert unchanged == (3, 0, 1)
    assert (await level(inventory))[:2] == (5, 9)
