"""The condition of an HTTP ``If-Match`` header: the states of a resource that the caller accepts.

A state is an epoch and a version, because a restored database assigns versions again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    import asyncpg

    from partstream.changes.v1.if_match_pb2 import IfMatch

# An epoch (a UUID, or "" for the first epoch of a log) and a version (0 = the resource does not exist).
SeenVersion = tuple[str, int]

_IDENTITY = "SELECT epoch::text AS epoch, began_after FROM change_log_identity"


class Conditional(Protocol):
    """A request that may have the condition."""

    @property
    def if_match(self) -> IfMatch:
        """Return the states that the caller accepts."""

    def HasField(self, name: Literal["if_match"], /) -> bool:  # noqa: N802 - protobuf's name
        """Whether the request has the condition."""


def seen_versions(request: Conditional) -> frozenset[SeenVersion] | None:
    """Return the states that satisfy the condition of a request; ``None`` without one."""
    if not request.HasField("if_match"):
        return None
    return frozenset((seen.epoch.lower(), seen.version) for seen in request.if_match.any_of)


async def present_epochs(connection: asyncpg.Connection[asyncpg.Record]) -> frozenset[str]:
    """Return the names of the log's epoch as of this transaction: its UUID, and "" when it is the first one."""
    row = await connection.fetchrow(_IDENTITY)
    if row is None:
        message = "The change log has no identity."
        raise StoreUnavailable(message)
    return frozenset({row["epoch"], ""} if row["began_after"] == 0 else {row["epoch"]})
