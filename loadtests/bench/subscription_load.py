"""One address that subscribes as much as it can until its input ends, then prints how many snapshots it got.

``python -m loadtests.bench.subscription_load PORT SOCKETS SUBSCRIPTIONS PARTS``. A process of its own: what it is busy
with must not count. Every socket begins all of its subscriptions, waits for their snapshots, and begins them again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import urllib.request

from loadtests.bench.live import HANDSHAKE, masked

ADDRESS = "127.0.0.2"  # not that of the clients that are measured
PAGE = 200


class Greedy(asyncio.Protocol):
    """A socket that subscribes to much, again and again."""

    def __init__(self, port: int, messages: list[bytes]) -> None:
        """Send ``messages``, one for each subscription."""
        self._handshake = HANDSHAKE.format(port=port).encode()
        self._messages = b"".join(messages)
        self._expected = len(messages)
        self._pending = 0
        self._transport: asyncio.Transport | None = None
        self.snapshots = 0
        self.refused = 0
        self.lost = asyncio.get_running_loop().create_future()

    def itself(self) -> Greedy:
        """Return the protocol of the connection that is being made."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        """Count snapshots and refusals; when every subscription has one, begin again."""
        snapshots, refused = data.count(b'"subscribed"'), data.count(b'"type":"error"')
        self.snapshots += snapshots
        self.refused += refused
        self._pending -= snapshots + refused
        if self._pending <= 0 and self._transport is not None:
            self._pending = self._expected
            self._transport.write(self._messages)

    def connection_lost(self, error: Exception | None) -> None:
        """The edge closed it."""
        if not self.lost.done():
            self.lost.set_result(error)


async def _load(port: int, sockets: int, subscriptions: int, parts: int) -> None:
    known = _part_ids(port)
    # Of a part that is not there a subscription costs as much.
    ids = itertools.cycle([*known, *(f"NO-SUCH-{number}" for number in range(parts - len(known)))])
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(sockets):
        messages = []
        for number in range(subscriptions):
            wanted = list(itertools.islice(ids, parts))
            messages.append(masked(json.dumps({"op": "subscribe", "id": str(number), "parts": wanted}).encode()))
        protocol = Greedy(port, messages)
        await loop.create_connection(protocol.itself, "127.0.0.1", port, local_addr=(ADDRESS, 0))
        made.append(protocol)
    await loop.run_in_executor(None, sys.stdin.read)
    figures = {
        "snapshots": sum(socket.snapshots for socket in made),
        "refused": sum(socket.refused for socket in made),
        "closed": sum(socket.lost.done() for socket in made),
    }
    sys.stdout.write(json.dumps(figures))
    sys.stdout.flush()


def _part_ids(port: int) -> list[str]:
    """Every part of the shop, page by page."""
    found: list[str] = []
    token = ""
    while True:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/parts?page_size={PAGE}&page_token={token}"
        ) as page:
            listing = json.load(page)
        found += [part["part_id"] for part in listing["items"]]
        token = listing["next_page_token"]
        if not token:
            return found


if __name__ == "__main__":
    asyncio.run(_load(*map(int, sys.argv[1:5])))
