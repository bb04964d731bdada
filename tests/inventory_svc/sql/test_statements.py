"""The server prepares every statement of the service, the generated calls included."""

from __future__ import annotations

from pathlib import Path

import asyncpg

import inventory_svc.sql
from inventory_svc.sql import STATEMENTS
from inventory_svc.store.unit_of_work import WRITE_RESERVATIONS, WRITE_UNIT_OF_WORK
from inventory_svc.writer.single_level_write import WRITE_SINGLE_LEVEL
from tests.harness.statements import malformed_lines, unpreparable

CALLS = {
    "write_unit_of_work": WRITE_UNIT_OF_WORK,
    "write_reservations": WRITE_RESERVATIONS,
    "write_single_level": WRITE_SINGLE_LEVEL,
}


async def test_the_server_prepares_every_statement(inventory_dsn: str) -> None:
    connection = await asyncpg.connect(inventory_dsn)
    try:
        await connection.execute(STATEMENTS["create_snapshot_table"].removesuffix(" ON COMMIT DROP"))

        errors = await unpreparable(connection, {**STATEMENTS, **CALLS})
    finally:
        await connection.close()

    assert errors == {}


def test_the_files_have_the_common_form() -> None:
    assert malformed_lines(Path(inventory_svc.sql.__file__).parent) == []
