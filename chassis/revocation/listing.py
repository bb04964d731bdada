"""The list of revocations in memory. Every call and every open stream is checked with it, without a query."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from chassis.errors import RevocationUnknown, TokenRevoked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chassis.caller import Caller

Kind: TypeAlias = Literal["session", "user", "key"]

KNOWN_SECONDS: Final = 10.0  # without a confirmation for longer, writes are rejected
_FIRST_SECONDS: Final = 1.0  # a process that has just started waits for its first list
_PRUNE_ABOVE: Final = 1024


@dataclass(frozen=True, slots=True)
class Revocation:
    """Revoked tokens: of a session, of a user if issued before a timestamp, or signed with a key.

    Timestamps are seconds since the epoch. After ``expires_at`` every such token is expired.
    """

    kind: Kind
    subject: str
    not_before: float = math.inf
    expires_at: float = math.inf


class RevocationList:
    """The revocations, whether they are up to date, and callbacks of open streams. Entries leave only by expiry."""

    def __init__(self, *, followed: bool = True) -> None:
        """``followed=False`` is for a server without a source: nothing is revoked, and the list is complete."""
        self._followed = followed
        self._entries: dict[tuple[Kind, str], Revocation] = {}
        self._holders: dict[tuple[Kind, str], set[_Holder]] = {}
        self._confirmed_at = -math.inf
        self._confirmed = asyncio.Event()
        self._prune_at = _PRUNE_ABOVE

    @property
    def age(self) -> float:
        """Return the seconds since the list was last confirmed to be complete."""
        return time.monotonic() - self._confirmed_at if self._followed else 0.0

    @property
    def is_known(self) -> bool:
        """Whether the list was confirmed recently enough for writes."""
        return self.age < KNOWN_SECONDS

    def entries(self) -> list[Revocation]:
        """Return every revocation that is not expired."""
        now = time.time()
        return [entry for entry in self._entries.values() if entry.expires_at > now]

    def apply(self, revocations: Iterable[Revocation]) -> None:
        """Add revocations and call back the open streams and sockets that they concern. Idempotent."""
        for new in revocations:
            key = (new.kind, new.subject)
            known = self._entries.get(key)
            if known is not None and known.not_before >= new.not_before and known.expires_at >= new.expires_at:
                continue
            self._entries[key] = new
            for holder in tuple(self._holders.get(key, ())):
                if self.is_revoked(holder.caller):
                    holder.on_revoked()
        if len(self._entries) > self._prune_at:
            self._entries = {(entry.kind, entry.subject): entry for entry in self.entries()}
            self._prune_at = max(_PRUNE_ABOVE, 2 * len(self._entries))

    def confirm(self) -> None:
        """Note that the list is complete up to now."""
        self._confirmed_at = time.monotonic()
        self._confirmed.set()

    async def until_confirmed(self) -> None:
        """Return once the list is complete for the first time."""
        await self._confirmed.wait()

    def is_revoked(self, caller: Caller) -> bool:
        """Whether the token of this caller was revoked."""
        if (caller.session_id and ("session", caller.session_id) in self._entries) or (
            caller.key_id and ("key", caller.key_id) in self._entries
        ):
            return True
        return caller.issued_at < self.not_before(caller.user_id)

    def not_before(self, user_id: str) -> float:
        """Return the timestamp before which tokens of the user are revoked; ``-inf`` when none is."""
        entry = self._entries.get(("user", user_id))
        return -math.inf if entry is None else entry.not_before

    def check(self, caller: Caller) -> None:
        """Raise ``TokenRevoked`` when the token of this caller was revoked."""
        if self._entries and self.is_revoked(caller):
            message = "Access token revoked: the session ended or permissions changed. Refresh it, or sign in again."
            raise TokenRevoked(message)

    async def require_known(self) -> None:
        """Raise ``RevocationUnknown`` unless the list is up to date. A process that has just started waits for 1 s."""
        if self.is_known:
            return
        if not self._confirmed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SECONDS):
                    await self.until_confirmed()
        if not self.is_known:
            message = "Revocation list out of date: writes are rejected. Retry with the same request_id."
            raise RevocationUnknown(message, retry_after_seconds=1)

    @contextlib.contextmanager
    def watching(self, caller: Caller, on_revoked: Callable[[], None]) -> Iterator[None]:
        """Call ``on_revoked`` when the token of this caller is revoked while the block runs."""
        holder = _Holder(caller, on_revoked)
        keys: list[tuple[Kind, str]] = [("user", caller.user_id)]
        keys += [("session", caller.session_id)] if caller.session_id else []
        keys += [("key", caller.key_id)] if caller.key_id else []
        for key in keys:
            self._holders.setdefault(key, set()).add(holder)
        try:
            yield
        finally:
            for key in keys:
                holders = self._holders[key]
                holders.discard(holder)
                if not holders:
                    del self._holders[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Holder:
    caller: Caller
    on_revoked: Callable[[], None]
