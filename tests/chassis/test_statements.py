"""Named statements in `.sql` files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chassis.statements import StatementsMalformed, load_statements

if TYPE_CHECKING:
    from pathlib import Path

TWO = """-- name: read_thing
-- Read one thing.
SELECT *
FROM thing
WHERE id = $1;

-- name: drop_thing
-- Delete one thing,
-- if it is there.
DELETE FROM thing WHERE id = $1;
"""


def test_statements_are_read_by_name_without_their_description(tmp_path: Path) -> None:
    (tmp_path / "thing.sql").write_text(TWO)

    statements = load_statements(tmp_path)

    assert dict(statements) == {
        "read_thing": "SELECT *\nFROM thing\nWHERE id = $1",
        "drop_thing": "DELETE FROM thing WHERE id = $1",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1;\n", "has no name"),
        ("-- name: one\nSELECT 1;\n", "has no description"),
        ("-- name: one\n-- One.\nSELECT 1;\n-- name: one\n-- One.\nSELECT 1;\n", "is there twice"),
    ],
)
def test_a_malformed_file_is_an_error(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "thing.sql").write_text(text)

    with pytest.raises(StatementsMalformed, match=fault):
        load_statements(tmp_path)
