"""Slowing down whoever guesses passwords: by account and by address, each further failure doubles the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import TooManyRequests

if TYPE_CHECKING:
    from chassis.database import Database

FREE_PER_ACCOUNT: Final = 5
FREE_PER_ADDRESS: Final = 100  # many people share an address
LONGEST_SECONDS: Final = 900.0

# Failures of an account since it last signed in, those of an address, and how long ago the last of each was.
RECENT_FAILURES: Final = """
WITH last_success AS (
    SELECT coalesce(max(attempted_at), '-infinity') AS at FROM login_attempt WHERE username = $1 AND succeeded
)
SELECT count(*) FILTER (WHERE username = $1 AND attempted_at > last_success.at) AS account_failures,
       extract(epoch FROM now() - max(attempted_at) FILTER (WHERE username = $1))::float8 AS account_age,
       count(*) FILTER (WHERE client_ip = $2) AS address_failures,
       extract(epoch FROM now() - max(attempted_at) FILTER (WHERE client_ip = $2))::float8 AS address_age
FROM login_attempt, last_success
WHERE NOT succeeded AND attempted_at > now() - interval '15 minutes' AND (username = $1 OR client_ip = $2)
"""

# Remember an attempt.
INSERT_ATTEMPT: Final = "INSERT INTO login_attempt (username, client_ip, succeeded) VALUES ($1, $2, $3)"

# Forget the failures of an account; the security events that record them stay.
DELETE_FAILURES: Final = "DELETE FROM login_attempt WHERE username = $1 AND NOT succeeded RETURNING 1"


def wait_seconds(failures: int, free: int, age_seconds: float | None) -> float:
    """How much longer to wait after ``failures``, the last of them ``age_seconds`` ago; 0 = none."""
    if failures < free:
        return 0.0
    delay = min(LONGEST_SECONDS, 2.0 ** min(failures - free, 20))
    return max(0.0, delay - (age_seconds or 0.0))


class Lockout:
    """Decides whether an attempt may be made at all."""

    def __init__(self, database: Database) -> None:
        """Keep attempts in the edge's database, so that all edges count together."""
        self._database = database

    async def check(self, username: str, client_ip: str) -> None:
        """Return when an attempt may be made; ``TooManyRequests`` says how long to wait."""
        row = await self._database.pool.fetchrow(RECENT_FAILURES, username.lower(), client_ip)
        if row is None:
            return
        seconds = max(
            wait_seconds(row["account_failures"], FREE_PER_ACCOUNT, row["account_age"]),
            wait_seconds(row["address_failures"], FREE_PER_ADDRESS, row["address_age"]),
        )
        if seconds > 0:
            message = "Too many failed attempts: wait before the next one."
            raise TooManyRequests(message, retry_after_seconds=seconds)

    async def record(self, username: str, client_ip: str, *, succeeded: bool) -> None:
        """Count an attempt."""
        await self._database.pool.execute(INSERT_ATTEMPT, username.lower(), client_ip, succeeded)

    async def clear(self, username: str) -> int:
        """End the lock-out of an account; return the number of failed attempts that no longer count."""
        return len(await self._database.pool.fetch(DELETE_FAILURES, username.lower()))
