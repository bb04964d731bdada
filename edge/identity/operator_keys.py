"""``revoke-key``: the services refuse what is signed with a process's key from now on, without an end."""

from __future__ import annotations

from typing import Final

from edge.identity.operator import operator_database, operator_events

# No token counts that names this key; the services are told by the same commit.
REVOKE_KEY: Final = "SELECT revoke_tokens('key', $1, NULL, NULL)"


async def revoke_key(dsn: str, key_id: str) -> str:
    """Revoke a key; return what to print."""
    async with operator_database(dsn) as database:
        await database.pool.execute(REVOKE_KEY, key_id)
        await operator_events(database).record("key_revoked", details={"key_id": key_id})
    return f"Revoked the key {key_id}."
