"""The constraints of the database and the errors they mean to callers."""

from __future__ import annotations

import re

import psycopg
import pytest

from chassis.constraint_errors import error_of_constraint
from chassis.errors import InternalFault, PartstreamError
from inventory_svc.errors import CONSTRAINTS

# Named rules: constraints of tables and domains, and unique indexes.
CATALOGUE_NAMES = """
SELECT conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'public'
UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique
"""


def test_every_rule_with_a_meaning_exists(inventory_dsn: str) -> None:
    """A renamed constraint would turn a plain refusal into an internal fault."""
    with psycopg.connect(inventory_dsn) as connection:
        constraints = {row[0] for row in connection.execute(CATALOGUE_NAMES)}
        functions = "\n".join(
            row[0] for row in connection.execute("SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%CONSTRAINT%'")
        )
        arguments = connection.execute("SELECT encode(tgargs, 'escape') FROM pg_trigger WHERE tgnargs > 0").fetchall()
    raised = set(re.findall(r"CONSTRAINT = '(\w+)'", functions)) | {row[0].split("\\000")[0] for row in arguments}

    assert CONSTRAINTS.keys() <= constraints | raised


@pytest.mark.parametrize("rule", sorted(CONSTRAINTS))
def test_a_rule_is_explained_without_the_database_s_own_words(rule: str) -> None:
    error = error_of_constraint(rule, CONSTRAINTS)

    assert isinstance(error, PartstreamError)
    assert error.metadata["rule"] == rule
    assert "relation" not in error.message


def test_a_rule_that_no_caller_can_break_is_a_fault_of_ours() -> None:
    assert isinstance(error_of_constraint("stock_movement_pkey", CONSTRAINTS), InternalFault)
    assert isinstance(error_of_constraint(None, CONSTRAINTS), InternalFault)
