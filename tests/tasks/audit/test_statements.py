"""The `.sql` files of the audit trail: their form, and that PostgreSQL prepares each statement."""

from pathlib import Path

import asyncpg
import pytest

from tasks.audit import sql
from tests.harness.statements import malformed_lines, unpreparable


@pytest.mark.parametrize("name", sorted(sql.STATEMENTS))
def test_a_statement_is_used(name: str) -> None:
    folder = Path(sql.__file__).parents[1]

    assert any(f'STATEMENTS["{name}"]' in path.read_text() for path in folder.glob("*.py"))


async def test_the_server_prepares_every_statement(audit_dsn: str) -> None:
    connection = await asyncpg.connect(audit_dsn)

    assert await unpreparable(connection, sql.STATEMENTS) == {}
    await connection.close()


def test_the_files_have_the_common_form() -> None:
    assert malformed_lines(Path(sql.__file__).parent) == []
