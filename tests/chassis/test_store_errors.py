"""Every SQLSTATE has a meaning, and errors of PostgreSQL are translated by it."""

import asyncpg
import pytest
from asyncpg import exceptions

from chassis.errors import DeadlinePassed, FieldInvalid, InternalFault, Overloaded, StoreUnavailable
from chassis.store_errors import CLASSES, CODES, meaning_of, meaning_of_code, translated

KNOWN = {
    code for name in dir(exceptions) if isinstance(code := getattr(getattr(exceptions, name), "sqlstate", None), str)
}
# Conditions that an operator can cause, and the error of a caller.
EXPECTED = {
    "08006": (StoreUnavailable, "unavailable"),
    "25006": (StoreUnavailable, "read_only"),
    "28P01": (StoreUnavailable, "access_denied"),
    "3D000": (StoreUnavailable, "unavailable"),
    "40001": (Overloaded, "conflict"),
    "40P01": (Overloaded, "conflict"),
    "53100": (StoreUnavailable, "disk_full"),
    "53200": (StoreUnavailable, "out_of_memory"),
    "53300": (StoreUnavailable, "too_many_connections"),
    "53400": (StoreUnavailable, "no_resources"),
    "55P03": (Overloaded, "locked"),
    "57014": (DeadlinePassed, "statement_timeout"),
    "57P01": (StoreUnavailable, "unavailable"),
    "57P02": (StoreUnavailable, "unavailable"),
    "57P03": (StoreUnavailable, "unavailable"),
    "58030": (StoreUnavailable, "io_error"),
    "XX000": (StoreUnavailable, "database_fault"),
    "XX001": (StoreUnavailable, "corrupted"),
    "XX002": (StoreUnavailable, "corrupted"),
    "22021": (FieldInvalid, "bad_text"),
}


def test_every_class_of_sqlstates_has_a_meaning() -> None:
    assert {code[:2] for code in KNOWN} <= set(CLASSES)
    assert {code[:2] for code in CODES} <= set(CLASSES)


@pytest.mark.parametrize("code", sorted(EXPECTED))
async def test_errors_of_the_server_are_translated(code: str, empty_dsn: str) -> None:
    connection = await asyncpg.connect(empty_dsn)
    try:
        with pytest.raises(asyncpg.PostgresError) as raised:
            await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'SECRET' USING ERRCODE = '{code}'; END $$")
    finally:
        connection.terminate()

    error = translated(raised.value)

    assert error is not None
    assert (type(error), error.metadata["cause"]) == EXPECTED[code]
    assert "SECRET" not in error.message
    if isinstance(error, StoreUnavailable | Overloaded):
        assert error.retry_after_seconds


@pytest.mark.parametrize("code", ["42601", "42P01", "22012", "P0001", "ZZ999", ""])
def test_a_defect_or_an_unknown_code_is_a_fault(code: str) -> None:
    assert meaning_of_code(code).kind is InternalFault


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), asyncpg.InterfaceError("closed")])
def test_a_lost_connection_is_an_unavailable_database(error: Exception) -> None:
    assert isinstance(translated(error), StoreUnavailable)


def test_errors_of_no_driver_have_no_meaning() -> None:
    assert meaning_of(ValueError()) is None
