"""Bounds on guessing passwords and on registering.

Per account and address five failures are free; then each doubles the wait. From other addresses an account can only be
slowed down, by two seconds at most, so that no other client can lock out an account or an address. An attempt counts
as failed from before its password is checked, under a lock of the database: a parallel burst is bounded like a series.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from chassis.addresses import site_of
from chassis.errors import Overloaded
from edge.http.errors import TooManyRequests
from edge.identity import tables
from edge.identity.sql import STATEMENTS
from edge.identity.users import folded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chassis.database import Database

FREE_ATTEMPTS: Final = 5
FREE_REGISTRATIONS: Final = 100  # of one address; offices and phone networks share addresses
FIRST_WAIT_SECONDS: Final = 4.0
LONGEST_WAIT_SECONDS: Final = 900.0

FREE_FROM_EVERYWHERE: Final = 20  # failures of an account over all addresses, without a delay
FIRST_DELAY_SECONDS: Final = 0.125
LONGEST_DELAY_SECONDS: Final = 2.0

SIGN_IN: Final = "sign_in"
REGISTRATION: Final = "registration"


def wait_seconds(failures: int, free: int, age_seconds: float | None) -> float:
    """Return how much longer to wait after ``failures``, the last of them ``age_seconds`` ago; 0 = none."""
    if failures < free:
        return 0.0
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures - free, 20))
    return max(0.0, wait - (age_seconds or 0.0))


def delay_seconds(failures: int) -> float:
    """Return by how much an attempt is delayed after ``failures`` of its account over all addresses."""
    if failures < FREE_FROM_EVERYWHERE:
        return 0.0
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (failures - FREE_FROM_EVERYWHERE))


class Lockout:
    """Decide whether an attempt is admitted."""

    def __init__(self, database: Database) -> None:
        """Store attempts in the edge's database, so that all edges count together."""
        self._database = database
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def attempt(self, username: str, client_ip: str, check: Callable[[], Awaitable[bool]]) -> bool:
        """Return the result of ``check``, the attempt to sign in; raise ``TooManyRequests`` with the time to wait.

        Attempts of one account and address run one after the other, so that parallel ones with the right password all
        succeed.
        """
        name, site, attempt = folded(username), site_of(client_ip), tables.LoginAttempt
        await asyncio.sleep(await self.delay(username))
        lock = self._locks.setdefault((name, site), asyncio.Lock())
        async with lock:
            attempt_id = await self._claim(SIGN_IN, name, site, FREE_ATTEMPTS)
            try:
                succeeded = await check()
            except Overloaded:
                await self._database.run(attempt.delete().where(attempt.login_attempt_id == attempt_id))
                raise
            if succeeded:
                await self._database.run(
                    attempt.update({attempt.succeeded: True}).where(attempt.login_attempt_id == attempt_id)
                )
        return succeeded

    async def admit_registration(self, client_ip: str) -> None:
        """Count a registration; raise ``TooManyRequests`` when the address has made too many."""
        await self._claim(REGISTRATION, "", site_of(client_ip), FREE_REGISTRATIONS)

    async def delay(self, username: str) -> float:
        """Return the seconds by which an attempt is delayed because of failures from all addresses."""
        most = FREE_FROM_EVERYWHERE + 10
        return delay_seconds(
            await self._database.pool.fetchval(STATEMENTS["count_failures_everywhere"], folded(username), most)
        )

    async def clear(self, username: str) -> int:
        """End the lock-out of an account; return the number of failed attempts that no longer count."""
        attempt = tables.LoginAttempt
        failures = attempt.delete().where(
            attempt.purpose == SIGN_IN, attempt.username == folded(username), attempt.succeeded.eq(value=False)
        )
        return len(await self._database.run(failures.returning(attempt.login_attempt_id)))

    async def _claim(self, purpose: str, name: str, site: str, free: int) -> int:
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(STATEMENTS["lock_attempts"], purpose, name, site)
            row = await connection.fetchrow(STATEMENTS["read_failures"], purpose, name, site)
            seconds = wait_seconds(row["failures"], free, row["age"])
            if seconds > 0:
                message = "Too many sign-in attempts. Retry after the time in Retry-After."
                raise TooManyRequests(message, retry_after_seconds=seconds)
            attempt_id: int = await connection.fetchval(STATEMENTS["insert_attempt"], purpose, name, site)
            return attempt_id
