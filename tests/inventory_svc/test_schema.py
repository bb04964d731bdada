"""The constraints of the database and the errors they mean to callers."""

from __future__ import annotations

import re

import psycopg
import pytest

from chassis.errors import InternalFault, PartstreamError
from inventory_svc.errors import explain_refusal, known_rules

# Named rules: constraints of tables and domains, and unique indexes.
CONSTRAINTS = """
SELECT conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'public'
UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique
"""


def test_every_rule_with_a_meaning_exists(inventory_dsn: str) -> None:
    """A renamed constraint would turn a plain refusal into an internal fault."""
    with psycopg.connect(inventory_dsn) as connection:
        constraints = {row[0] for row in connection.execute(CONSTRAINTS)}
        functions = "\n".join(
            row[0] for row in connection.execute("SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%CONSTRAINT%'")
        )
        arguments = connection.execute("SELECT encode(tgargs, 'escape') FROM pg_trigger WHERE tgnargs > 0").fetchall()
    raised = set(re.findall(r"CONSTRAINT = '(\w+)'", functions)) | {row[0].split("\\000")[0] for row in arguments}

    assert known_rules() <= constraints | raised


@pytest.mark.parametrize("rule", sorted(known_rules()))
def test_a_rule_is_explained_without_the_database_s_own_words(rule: str) -> None:
    error = explain_refusal(rule)

    assert isinstance(error, PartstreamError)
    assert error.metadata["rule"] == rule
    assert "relation" not in error.message


def test_a_rule_that_no_caller_can_break_is_a_fault_of_ours() -> None:
    assert isinstance(explain_refusal("stock_movement_pkey"), InternalFault)
    assert isinstance(explain_refusal(None), InternalFault)
