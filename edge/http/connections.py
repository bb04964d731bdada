"""Limit the requests in progress, in total and for each address.

A request that waits for its body costs its client nothing and occupies a connection here: at a limit the request that
has waited longest is closed and the new one accepted. The new one is rejected only when no request waits.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Self

from chassis.addresses import site_of
from chassis.errors import Overloaded
from edge.http.errors import TooManyConnections
from edge.metrics import BODIES_WAITING, CONNECTIONS_CLOSED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

PER_ADDRESS: Final = 1_000  # offices and phone networks share addresses
TOTAL: Final = 18_000
BUFFERED_BYTES: Final = 64 * 1024 * 1024  # of all bodies that have not arrived completely

Peer = tuple[str, str]


class Connection:
    """The connection of one request in progress; leave it with ``with``."""

    __slots__ = ("_limiter", "address", "buffered", "deadline", "peer", "replaced")

    def __init__(self, limiter: ConnectionLimiter, address: str, peer: Peer | None) -> None:
        """Start without a body."""
        self._limiter = limiter
        self.address = address
        self.peer = peer
        self.buffered = 0  # bytes of its body that have arrived
        self.deadline: asyncio.Timeout | None = None
        self.replaced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._limiter.leave(self)

    def replace(self) -> None:
        """End the wait for the body at once."""
        self.replaced = True
        if self.deadline is not None:
            self.deadline.reschedule(0.0)


class ConnectionLimiter:
    """Counts requests in progress by address and tracks which of them wait for their body."""

    def __init__(
        self, per_address: int = PER_ADDRESS, *, total: int = TOTAL, buffered_bytes: int = BUFFERED_BYTES
    ) -> None:
        """Start empty."""
        self._per_address = per_address
        self._total = total
        self._most_buffered = buffered_bytes
        self._buffered = 0
        self._open: dict[str, set[Connection]] = {}
        self.in_progress = 0
        self.begun = 0  # since the start
        self._waiting: OrderedDict[Connection, None] = OrderedDict()  # the longest wait first
        self._waiting_of: dict[str, OrderedDict[Connection, None]] = {}
        self.peers: dict[Peer, int] = {}  # the remote ends of the connections in use, each with its number of requests

    @contextlib.contextmanager
    def occupied(self, peer: Peer | None) -> Iterator[None]:
        """Mark the connection of a WebSocket as in use, so that it is not closed as idle."""
        self._use(peer, 1)
        try:
            yield
        finally:
            self._use(peer, -1)

    def admit(self, address: str, peer: Peer | None = None) -> Connection:
        """Count a request; raise ``TooManyConnections`` or ``Overloaded`` when no waiting request can be closed for it.

        An IPv6 network of one customer counts as one address.
        """
        address = site_of(address)
        of_address = self._open.get(address)
        full = of_address is not None and len(of_address) >= self._per_address
        if full and not self._replace(self._waiting_of.get(address)):
            message = "Too many requests of your address are in progress."
            raise TooManyConnections(message, retry_after_seconds=1)
        if self.in_progress >= self._total and not self._replace(self._waiting):
            message = "Too many requests are in progress."
            raise Overloaded(message, retry_after_seconds=1)
        connection = Connection(self, address, peer)
        self._open.setdefault(address, set()).add(connection)
        self.in_progress += 1
        self.begun += 1
        self._use(peer, 1)
        return connection

    def leave(self, connection: Connection) -> None:
        """Remove a request that has ended."""
        self._use(connection.peer, -1)
        self._uncount(connection)

    @contextlib.contextmanager
    def waiting(self, connection: Connection) -> Iterator[None]:
        """Mark a request as waiting for its body."""
        self._waiting[connection] = None
        self._waiting_of.setdefault(connection.address, OrderedDict())[connection] = None
        BODIES_WAITING.inc()
        try:
            yield
        finally:
            self._arrived(connection)
            BODIES_WAITING.dec()

    def buffer(self, connection: Connection, size: int) -> None:
        """Count bytes of a body that has not arrived completely; beyond the limit the longest wait ends."""
        connection.buffered += size
        self._buffered += size
        while self._buffered > self._most_buffered and self._replace(self._waiting):
            pass

    def _replace(self, candidates: OrderedDict[Connection, None] | None) -> bool:
        if not candidates:
            return False
        longest = next(iter(candidates))
        self._arrived(longest)
        self._uncount(longest)
        longest.replace()
        CONNECTIONS_CLOSED.labels("replaced").inc()
        return True

    def _arrived(self, connection: Connection) -> None:
        """Remove a wait if it is still registered: a replaced request is removed twice."""
        if connection not in self._waiting:
            return
        del self._waiting[connection]
        of_address = self._waiting_of[connection.address]
        del of_address[connection]
        if not of_address:
            del self._waiting_of[connection.address]
        self._buffered -= connection.buffered

    def _uncount(self, connection: Connection) -> None:
        """Remove a request from the counts if it is still there: a replaced request is removed twice."""
        of_address = self._open.get(connection.address)
        if of_address is None or connection not in of_address:
            return
        of_address.remove(connection)
        self.in_progress -= 1
        if not of_address:
            del self._open[connection.address]

    def _use(self, peer: Peer | None, change: int) -> None:
        if peer is None:
            return
        requests = self.peers.get(peer, 0) + change
        if requests:
            self.peers[peer] = requests
        else:
            del self.peers[peer]
