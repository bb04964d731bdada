"""A catalogue file goes in once, however often and however interrupted it is imported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.flow.admin import Admin
from tests.flow.recorders import StockRecorder
from tests.flow.running_stack import RunningStack
from tests.flow.stored_facts import log_facts

PARTS = 1_200


def catalogue(folder: Path, prefix: str, *, parts: int, stock: Callable[[int], object] = lambda number: number) -> Path:
    path = folder / f"{prefix}.jsonl"
    with path.open("w") as file:
        for number in range(parts):
            row: dict[str, Any] = {
                "sku": f"{prefix}{number}",
                "title": f"Part {number}",
                "description": "A<B & C",
                "category": ["Flow", "Imported" if number % 2 else "IMPORTED"],
                "specs": {"Ohm": 5, "Volt": "-", "Size": {"w": 1}},
                "prices": [[1, 0.0004], [10, 0.0003]],
                "stock": stock(number),
            }
            file.write(json.dumps(row) + "\n")
    return path


async def imported(stack: RunningStack, path: Path, *arguments: str) -> dict[str, Any]:
    summary = path.with_suffix(".summary.json")
    code, output = await stack.verb("import", str(path), "--json", str(summary), *arguments)
    assert code == 0, output
    return dict(json.loads(summary.read_text()))


async def test_a_second_import_changes_nothing(stack: RunningStack, tmp_path: Path) -> None:
    path = catalogue(tmp_path, "I1-", parts=PARTS)

    first = await imported(stack, path)
    heads = [(await log_facts(stack, service)).last for service in ("inventory", "content")]
    second = await imported(stack, path)

    assert first["counts"] == {
        "rows": PARTS,
        "parts_created": PARTS,
        "levels_created": PARTS,
        "categories_created": first["counts"]["categories_created"],
    }
    assert second["counts"] == {"rows": PARTS, "parts_unchanged": PARTS, "levels_equal": PARTS}
    assert heads == [(await log_facts(stack, service)).last for service in ("inventory", "content")]


async def test_an_imported_part_is_on_the_shelf(stack: RunningStack, tmp_path: Path) -> None:
    await imported(stack, catalogue(tmp_path, "I2-", parts=3))

    async with httpx.AsyncClient(base_url=f"{stack.edge_url(2)}/api/v1") as shopper:
        page = (await shopper.get("/parts/I2-2")).json()

    assert page["title"] == "Part 2"
    assert page["description"] == "A&lt;B &amp; C"
    assert page["specifications"] == {"Ohm": 5, "Volt": None, "Size / w": 1}
    assert page["price"] == {"amount_minor": 1, "currency": "USD"}
    assert page["stock"]["available"] == 2
    assert len(page["category"]["path"]) == 2


async def test_an_import_that_was_killed_is_taken_up_and_does_once_what_it_does(
    stack: RunningStack, tmp_path: Path
) -> None:
    path = catalogue(tmp_path, "I3-", parts=PARTS, stock=lambda number: number + 1)
    async with StockRecorder(stack) as watcher:
        cut_off = await stack.begin_verb("import", str(path))
        await watcher.until(lambda: bool(watcher.changes))
        cut_off.kill()
        await cut_off.wait()
        await imported(stack, path)
        seen = [change for change in watcher.changes if change.part_id.startswith("I3-")]
        await watcher.until(lambda: len({change.part_id for change in watcher.changes}) >= PARTS)
        seen = [change for change in watcher.changes if change.part_id.startswith("I3-")]

    assert sorted(change.part_id for change in seen) == sorted(f"I3-{number}" for number in range(PARTS))
    assert all(change.after.on_hand == int(change.part_id.removeprefix("I3-")) + 1 for change in seen)
    assert watcher.faults == []


async def test_what_staff_changed_outlasts_an_import(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    path = catalogue(tmp_path, "I4-", parts=1, stock=lambda _: 5)
    await imported(stack, path)
    await admin.put_stock("I4-0", 9, expected_version=1)

    kept = await imported(stack, path)
    overruled = await imported(stack, path, "--set-stock")

    assert kept["counts"]["levels_different_left_alone"] == 1
    assert overruled["counts"]["levels_set"] == 1


FULL = (
    "sku,title,description,category,specs,prices,stock,mpn,manufacturer,image\n"
    'I6-1,Hex bolt M6,Zinc plated bolt,Fasteners > Bolts,"{""Thread"":""M6""}","[[1,0.25],[100,0.2]]",40,HB-M6,Acme,'
    "https://x.example/b.jpg\n"
)
EMPTY = FULL.splitlines()[0] + "\nI6-1,Hex bolt M6,,,,,,,,\n"


def table(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


async def test_what_a_file_does_not_have_stays(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    """A file of SKUs and stock erased titles, texts, pictures and prices, with exit code 0."""
    await imported(stack, table(tmp_path, "full.csv", FULL))
    before = await admin.get("/admin/parts/I6-1")
    categories = await admin.get("/categories")

    stock = await imported(stack, table(tmp_path, "stock.csv", "sku,stock\nI6-1,35\n"), "--set-stock")
    capitals = await imported(stack, table(tmp_path, "capitals.csv", FULL.replace(",title,", ",Title,")))
    empty = await imported(stack, table(tmp_path, "empty.csv", EMPTY))
    after = await admin.get("/admin/parts/I6-1")
    level = await admin.get("/admin/parts/I6-1/stock")

    assert [summary["counts"]["parts_unchanged"] for summary in (stock, capitals, empty)] == [1, 1, 1]
    assert (after, level["on_hand"]) == (before, 35)
    assert await admin.get("/categories") == categories  # no Uncategorised for parts that exist

    price = await imported(stack, table(tmp_path, "price.jsonl", '{"sku":"I6-1","prices":[[1,0.3]]}\n'))
    priced = await admin.get("/admin/parts/I6-1")
    changed = {name for name in priced if priced[name] != before[name]}
    assert price["counts"]["parts_updated"] == 1
    assert changed == {"price", "price_breaks", "version", "updated_at", *({"published_version"} & before.keys())}


async def test_an_empty_cell_clears_on_request(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    full, empty = (text.replace("I6-1", "I7-1") for text in (FULL, EMPTY))
    await imported(stack, table(tmp_path, "full.csv", full))
    before = await admin.get("/admin/parts/I7-1")

    kept = await imported(stack, table(tmp_path, "empty.csv", empty), "--check")
    told = await imported(stack, table(tmp_path, "empty.csv", empty), "--check", "--clear-empty")
    unchanged = await admin.get("/admin/parts/I7-1")
    await imported(stack, table(tmp_path, "empty.csv", empty), "--clear-empty")
    after = await admin.get("/admin/parts/I7-1")

    assert kept["existing_fields"] == {}
    assert kept["counts"]["parts_would_not_change"] == 1
    assert told["existing_fields"] == {
        name: {"changed": 0, "cleared": 1}
        for name in ("description", "specs", "image", "prices", "mpn", "manufacturer")
    }
    assert told["counts"]["fields_would_be_cleared"] == 6
    assert unchanged == before
    assert (after["title"], after["category_id"]) == (before["title"], before["category_id"])
    assert not any(after[name] for name in ("description", "specifications", "images", "price", "mpn", "manufacturer"))


async def test_a_check_says_what_would_change(stack: RunningStack, admin: Admin, tmp_path: Path) -> None:
    """It printed the same counts as for new parts."""
    full = FULL.replace("I6-1", "I8-1")
    await imported(stack, table(tmp_path, "full.csv", full))
    other = table(
        tmp_path,
        "other.csv",
        "sku,title,category,stock,image,colour\n"
        "I8-1,Hex bolt M6,Fasteners > Nuts,41,https://x.example/c.jpg,red\n"
        "I8-2,New,,1,,blue\n",
    )

    same = await imported(stack, table(tmp_path, "full.csv", full), "--check")
    check = await imported(stack, other, "--check", "--set-stock")
    done = await imported(stack, other, "--set-stock")
    image = await imported(stack, table(tmp_path, "i.csv", "sku,image\nI8-1,https://x.example/d.jpg\n"))
    again = await imported(stack, table(tmp_path, "i.csv", "sku,image\nI8-1,https://x.example/d.jpg\n"))
    part = await admin.get("/admin/parts/I8-1")

    assert (same["existing_fields"], same["counts"]["parts_would_not_change"]) == ({}, 1)
    assert check["existing_fields"] == {name: {"changed": 1, "cleared": 0} for name in ("category", "image", "stock")}
    assert check["counts"]["parts_would_be_created"] == 1
    assert check["keys_not_imported"] == {"colour": 2}
    assert (done["counts"]["parts_updated"], done["counts"]["levels_set"]) == (1, 1)
    assert (image["counts"]["parts_updated"], again["counts"]["parts_unchanged"]) == (1, 1)
    assert part["images"][0]["alt"] == "Hex bolt M6"  # of the part, which the file does not name


async def test_rejects_are_written_with_line_field_and_reason(stack: RunningStack, tmp_path: Path) -> None:
    path = catalogue(tmp_path, "I5-", parts=2)
    with path.open("a") as file:
        file.write('{"sku": "I5-0"}\n{"sku": "no blanks"}\n{"sku": "I5-9", "stock": -1}\nnot json\n')
    rejects = tmp_path / "rejects.jsonl"

    code, output = await stack.verb("import", str(path), "--rejects", str(rejects))
    allowed, _ = await stack.verb("import", str(path), "--rejects", str(rejects), "--allow-rejects")

    assert (code, allowed) == (1, 0), output
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(reject["line"], reject["field"], reject["reason"]) for reject in found] == [
        (3, "sku", "SKU_TWICE"),
        (4, "sku", "MALFORMED"),
        (5, "stock", "NOT_A_COUNT"),
        (6, "", "NOT_JSON"),
    ]
