"""The server prepares every statement of the service, those composed for a page included."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import asyncpg

import content_svc.sql
from content_svc.domain.listing import Order, PagePosition, PartListing
from content_svc.sql import STATEMENTS
from content_svc.store.part_listing import page_statement
from tests.harness.statements import malformed_lines, unpreparable

POSITION = PagePosition("", "R1")


async def test_the_server_prepares_every_statement(sql: asyncpg.Connection) -> None:
    complete = {name: text for name, text in STATEMENTS.items() if name != "select_page"}
    pages = {}
    for order, query, categories, position in product(get_args(Order), ("", "10k"), (None, ["a"]), (None, POSITION)):
        if order == "rank" and not query:
            continue
        listing = PartListing(query=query, order=order)
        pages[f"{order} {query} {categories} {position}"] = page_statement(listing, categories, position, 10)[0]

    assert await unpreparable(sql, complete | pages) == {}
    assert len(pages) == 5 * 8 + 4


async def test_all_reads_of_parts_return_the_same_columns(sql: asyncpg.Connection) -> None:
    columns = []
    for statement in (
        STATEMENTS["select_parts"],
        STATEMENTS["select_parts_after"],
        page_statement(PartListing(), None, None, 10)[0],
    ):
        prepared = await sql.prepare(statement)
        names = [attribute.name for attribute in prepared.get_attributes()]
        columns.append([name for name in names if name not in {"log_revision", "page_key"}])

    assert columns[0] == columns[1] == columns[2]


def test_the_files_have_the_common_form() -> None:
    assert malformed_lines(Path(content_svc.sql.__file__).parent) == []
