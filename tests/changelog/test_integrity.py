"""The owner of the database can change the log, but not undetected."""

from collections.abc import Callable

import pytest

from changelog.integrity import (
    compare_checkpoint,
    make_checkpoint,
    read_checkpoint,
    sign_checkpoint,
    verify_chain,
)
from chassis.tokens import SigningKey
from tests.changelog.change_log import open_log

THINGS = "INSERT INTO thing SELECT 't' || n, n FROM generate_series(1, 50) AS n"
OFF = "ALTER TABLE change_log DISABLE TRIGGER USER"

INSERTED = """
INSERT INTO change_log SELECT revision + 1, epoch, transaction_id, entity, 'forged', version, operation, before, after,
    details, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash
FROM change_log WHERE revision = 50
"""


async def test_an_unchanged_log_is_valid(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        assert (await verify_chain(connection)).first_bad_revision is None
        await connection.execute(THINGS)

        verdict = await verify_chain(connection)

        assert verdict.first_bad_revision is None
        assert verdict.checked == 50


@pytest.mark.parametrize(
    ("tampering", "first_bad"),
    [
        ("UPDATE change_log SET actor_name = 'another user' WHERE revision = 17", 17),
        ("UPDATE change_log SET after = jsonb_set(after, '{amount}', '9') WHERE revision = 1", 1),
        ("UPDATE change_log SET committed_at = committed_at - interval '1 day' WHERE revision = 50", 50),
        ("DELETE FROM change_log WHERE revision = 20", 20),
        ("DELETE FROM change_log WHERE revision <= 3", 1),
        (INSERTED, 51),
    ],
    ids=["actor", "amount", "time", "deleted", "beginning deleted", "inserted"],
)
async def test_a_tampered_log_is_invalid_from_the_first_changed_entry(
    empty_dsn: str, tampering: str, first_bad: int
) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        await connection.execute(THINGS)
        await connection.execute(OFF)
        await connection.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")

        await connection.execute(tampering)

        assert (await verify_chain(connection)).first_bad_revision == first_bad


async def test_a_truncated_log_is_detected_by_a_checkpoint(empty_dsn: str) -> None:
    key = SigningKey.generate()
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        await connection.execute(THINGS)
        made = await make_checkpoint(connection, "inventory")
        assert made is not None
        checkpoint = read_checkpoint(sign_checkpoint(made, key), key.public_key)
        assert (await compare_checkpoint(connection, checkpoint)).first_bad_revision is None
        await connection.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")

        await connection.execute("DELETE FROM change_log_000000000000 WHERE revision > 40")

        assert (await verify_chain(connection)).first_bad_revision is None
        assert (await compare_checkpoint(connection, checkpoint)).first_bad_revision == 50


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"revision": 50', '"revision": 49'),
        lambda text: text.replace('"signature": "', '"signature": "AA'),
        lambda _: "{}",
        lambda _: "not json",
    ],
)
async def test_a_checkpoint_without_a_valid_signature_is_rejected(empty_dsn: str, damage: Callable[[str], str]) -> None:
    key = SigningKey.generate()
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        await connection.execute(THINGS)
        made = await make_checkpoint(connection, "inventory")
        assert made is not None

        with pytest.raises(ValueError, match="checkpoint"):
            read_checkpoint(damage(sign_checkpoint(made, key)), key.public_key)


async def test_a_rewritten_end_is_detected_by_a_checkpoint_only(empty_dsn: str) -> None:
    key = SigningKey.generate()
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        await connection.execute(THINGS)
        made = await make_checkpoint(connection, "inventory")
        assert made is not None
        checkpoint = read_checkpoint(sign_checkpoint(made, key), key.public_key)
        await connection.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")
        await connection.execute("DELETE FROM change_log_000000000000 WHERE revision > 40")

        await connection.execute("INSERT INTO thing SELECT 'forged' || n, n FROM generate_series(1, 20) AS n")

        assert (await verify_chain(connection)).first_bad_revision is None
        assert (await compare_checkpoint(connection, checkpoint)).first_bad_revision == 50
