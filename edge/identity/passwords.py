"""Argon2id: hashing and verification outside the event loop, few at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.errors import FieldViolation, Overloaded
from chassis.password_policy import normalise, weakness
from edge.http.errors import RuleBroken

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")

# OWASP's least for Argon2id: 19 MiB, two passes, one lane. About 25 ms on the reference machine.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

AT_ONCE: Final = 2  # each takes a core and 19 MiB
WAITING: Final = 64  # further sign-ins are rejected; about a second's worth


class Passwords:
    """Hash and verify; calls beyond ``AT_ONCE`` wait, calls beyond ``WAITING`` are rejected."""

    def __init__(self) -> None:
        """Make the hash that the passwords of unknown users are verified against."""
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._stand_in = hash_password("a password of no account")

    async def hash_new(self, password: str, username: str) -> str:
        """Return the PHC string to store for an account; raise ``RuleBroken`` for a weak password."""
        return await self._in_thread(_hash_strong, password, username)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Return whether the password is right. It takes as long for an unknown user, so that time reveals none."""
        is_right = await self._in_thread(_matches, stored or self._stand_in, password)
        return is_right and stored is not None

    async def _in_thread(self, work: Callable[..., ResultT], *arguments: str) -> ResultT:
        if self._waiting >= WAITING:
            message = "Too many sign-ins are in progress. Retry shortly."
            raise Overloaded(message, retry_after_seconds=2)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1


def hash_password(password: str) -> str:
    """Return the PHC string of the normalised password. Blocks for some 25 ms."""
    return _hasher.hash(normalise(password))


def require_strong(password: str, username: str) -> None:
    """Raise ``RuleBroken`` when a password is too weak for an account."""
    problem = weakness(password, username)
    if problem is not None:
        raise RuleBroken(problem, fields=[FieldViolation("password", problem)])


def _hash_strong(password: str, username: str) -> str:
    require_strong(password, username)
    return hash_password(password)


def _matches(stored: str, password: str) -> bool:
    """Hashes made before passwords were normalised are of the text as it was typed."""
    return any(_verifies(stored, form) for form in dict.fromkeys((normalise(password), password)))


def _verifies(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
