"""The error that a caller gets for each failure of PostgreSQL. The only place that knows SQLSTATEs.

A failure is one of three: a *condition* of the database (read-only, full, unavailable), in which a write can be retried
later; a failure of one statement (a lock, a deadlock, a timeout); or a defect of the code. The services' ``errors``
modules map violated constraints by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import asyncpg

from chassis.errors import DeadlinePassed, FieldInvalid, InternalFault, Overloaded, PartstreamError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the driver raises when the connection is lost or cannot be made, as opposed to a rejected statement.
CONNECTION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was stopped in a transaction
    asyncpg.InternalClientError,  # a statement sent while the server announced its shutdown
    asyncpg.InvalidCatalogNameError,  # a restore swaps the database: it is missing for a moment
)

# Everything that the driver raises of the server or the connection; ``translated`` converts it.
STORE_FAILURES: Final = (*CONNECTION_LOST, asyncpg.PostgresError)

_RETRY_SECONDS: Final = 1.0
_LONG_RETRY_SECONDS: Final = 5.0  # for conditions that a person ends


@dataclass(frozen=True, slots=True)
class Meaning:
    """The error that a caller gets: its class, its cause in one word, a sentence, and when to retry."""

    kind: type[PartstreamError]
    cause: str
    message: str = ""
    retry_after_seconds: float | None = None
    is_condition: bool = False  # of the database as a whole
    sentence: str = ""  # describes a condition to an operator

    @property
    def is_fault(self) -> bool:
        """Whether it is a defect of the service that a person has to fix."""
        return self.kind is InternalFault

    def error(self) -> PartstreamError:
        """Return the error."""
        return self.kind(self.message, metadata={"cause": self.cause}, retry_after_seconds=self.retry_after_seconds)


def _condition(cause: str, sentence: str, retry_after_seconds: float = _RETRY_SECONDS) -> Meaning:
    message = f"{sentence} Retry with the same request_id: it is applied at most once."
    return Meaning(StoreUnavailable, cause, message, retry_after_seconds, is_condition=True, sentence=sentence)


UNAVAILABLE: Final = _condition("unavailable", "The database is unavailable.")
READ_ONLY: Final = _condition("read_only", "The database accepts no writes: it is read-only.")
DISK_FULL: Final = _condition("disk_full", "The database has no space left.", _LONG_RETRY_SECONDS)
OUT_OF_MEMORY: Final = _condition("out_of_memory", "The database is out of memory.")
TOO_MANY_CONNECTIONS: Final = _condition("too_many_connections", "The database accepts no more connections.")
NO_RESOURCES: Final = _condition("no_resources", "The database is short of a resource.")
ACCESS_DENIED: Final = _condition("access_denied", "The database does not admit this service.", _LONG_RETRY_SECONDS)
IO_ERROR: Final = _condition("io_error", "The database cannot read or write its files.", _LONG_RETRY_SECONDS)
CORRUPTED: Final = _condition("corrupted", "The database reports damaged data.", _LONG_RETRY_SECONDS)
MISCONFIGURED: Final = _condition("misconfigured", "The database is configured wrongly.", _LONG_RETRY_SECONDS)
INTERNAL: Final = _condition("database_fault", "The database failed internally.")

LOCKED: Final = Meaning(
    Overloaded, "locked", "The rows of the request are locked by another session. Retry shortly.", _RETRY_SECONDS
)
CONFLICT: Final = Meaning(Overloaded, "conflict", "Conflict with concurrent writes. Retry shortly.", _RETRY_SECONDS)
TOO_LATE: Final = Meaning(
    DeadlinePassed, "statement_timeout", "The database did not finish in time. Retry with the same request_id."
)
BAD_TEXT: Final = Meaning(FieldInvalid, "bad_text", "A text has a character that cannot be stored, such as NUL.")
RULE: Final = Meaning(InternalFault, "rule")  # the services map those that callers can violate
FAULT: Final = Meaning(InternalFault, "fault")

# Every class of SQLSTATEs (PostgreSQL's appendix A). ``tests/chassis/test_store_errors.py`` fails when one is missing.
CLASSES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        **dict.fromkeys(("00", "01", "02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21"), FAULT),
        **dict.fromkeys(("22", "24", "25", "26", "27", "2B", "2D", "2F", "34", "38", "39", "3B", "3F"), FAULT),
        **dict.fromkeys(("42", "44", "54", "HV", "P0"), FAULT),
        "08": UNAVAILABLE,
        "23": RULE,
        "28": ACCESS_DENIED,
        "3D": UNAVAILABLE,  # a restore swaps the database: it is missing for a moment
        "40": CONFLICT,
        "53": NO_RESOURCES,
        "55": FAULT,
        "57": UNAVAILABLE,
        "58": IO_ERROR,
        "72": CONFLICT,
        "F0": MISCONFIGURED,
        "XX": INTERNAL,
    }
)

# Codes with another meaning than their class.
CODES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "22021": BAD_TEXT,  # character_not_in_repertoire
        "22P05": BAD_TEXT,  # untranslatable_character
        "25006": READ_ONLY,  # read_only_sql_transaction
        "25P03": UNAVAILABLE,  # idle_in_transaction_session_timeout
        "25P04": TOO_LATE,  # transaction_timeout
        "40002": RULE,  # transaction_integrity_constraint_violation
        "40003": UNAVAILABLE,  # statement_completion_unknown
        "53100": DISK_FULL,
        "53200": OUT_OF_MEMORY,
        "53300": TOO_MANY_CONNECTIONS,
        "55006": LOCKED,  # object_in_use
        "55P03": LOCKED,  # lock_not_available
        "57014": TOO_LATE,  # query_canceled
        "XX001": CORRUPTED,
        "XX002": CORRUPTED,
    }
)


def meaning_of_code(sqlstate: str) -> Meaning:
    """Return the meaning of a SQLSTATE; one of an unknown class is a fault."""
    return CODES.get(sqlstate) or CLASSES.get(sqlstate[:2], FAULT)


def meaning_of(error: BaseException) -> Meaning | None:
    """Return the meaning of an error of the driver; ``None`` for any other error."""
    if isinstance(error, asyncpg.PostgresError):
        return meaning_of_code(error.sqlstate or "")
    return UNAVAILABLE if isinstance(error, CONNECTION_LOST) else None


def translated(error: BaseException) -> PartstreamError | None:
    """Return the error for the caller; ``None`` for a defect, a violated constraint, and errors of no driver."""
    meaning = meaning_of(error)
    return None if meaning is None or meaning.is_fault else meaning.error()
