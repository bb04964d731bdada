"""A database with accounts from before the account rules."""

import asyncpg
import pytest

from stack.checkout import ROOT

ACCOUNT_RULES = (ROOT / "edge" / "migrations" / "pre_0002_account_rules.sql").read_text()
UNDO = """
DROP TRIGGER an_administrator_stays_enabled ON "user";
DROP TRIGGER an_administrator_stays_stored ON "user";
DROP FUNCTION an_administrator_stays;
ALTER TABLE "user" DROP CONSTRAINT roles_are_a_set;
DROP FUNCTION is_set;
DROP INDEX username_folded_unique;
DROP INDEX login_attempt_by_pair;
ALTER TABLE login_attempt DROP COLUMN purpose;
"""


async def test_the_migration_removes_duplicate_roles_and_marks_attempts_as_sign_ins(edge_dsn: str) -> None:
    connection = await asyncpg.connect(edge_dsn)
    await connection.execute(UNDO)
    await connection.execute("INSERT INTO login_attempt (username, client_ip, succeeded) VALUES ('admin', '', false)")
    await connection.execute(
        """INSERT INTO "user" (username, password_hash, roles) VALUES
        ('Admin', '', '{support,admin,support}'), ('clerk', '', '{}'), ('zoe', '', '{auditor}')"""
    )

    await connection.execute(ACCOUNT_RULES)

    roles = [row["roles"] for row in await connection.fetch('SELECT roles FROM "user" ORDER BY username')]
    assert roles == [["support", "admin"], [], ["auditor"]]
    assert await connection.fetchval("SELECT purpose FROM login_attempt") == "sign_in"
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("""INSERT INTO "user" (username, password_hash) VALUES ('ADMIN', '')""")
    # As the release before this one creates users and counts attempts.
    await connection.execute(
        """INSERT INTO "user" (username, password_hash) VALUES ('CLERK', '') ON CONFLICT (lower(username)) DO NOTHING"""
    )
    await connection.execute("INSERT INTO login_attempt (username, client_ip, succeeded) VALUES ('admin', '', true)")
    await connection.close()
