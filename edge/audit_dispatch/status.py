"""How far the audit trail is behind a log, as far as the dispatcher knows."""

from __future__ import annotations

import time

from edge.cache.freshness import Freshness
from edge.upstream.follower_metrics import FollowerStatus


class DispatchStatus:
    """Of one log, while this process is the dispatcher."""

    def __init__(self, bookmark_seconds: float) -> None:
        """Nothing was heard yet."""
        self._bookmark_seconds = bookmark_seconds
        self._began = time.monotonic()
        self._heard_at = 0.0
        self._newest = 0
        self._stored = 0
        self._streams = 0
        self._connected = False
        self._fresh = Freshness(lambda: self._connected)
        self.gaps_recorded = 0

    def opened(self, stored: int) -> None:
        """A stream is asked for, from where the trail ends."""
        self._streams += 1
        self._stored = self._newest = stored

    def heard(self, newest: int) -> None:
        """A message came; ``newest`` is the log's newest revision that is known now."""
        self._connected = True
        self._heard_at = time.monotonic()
        self._newest = max(self._newest, newest)
        self._fresh.heard(self._stored, self._newest)

    def stored(self, revision: int) -> None:
        """The trail has everything up to a revision."""
        self._stored = revision
        self._fresh.reached(revision)

    def closed(self) -> None:
        """The stream ended."""
        self._connected = False

    def read(self) -> FollowerStatus:
        """The signs now."""
        now = time.monotonic()
        silent = now - (self._heard_at or self._began)
        lag = max(0, self._newest - self._stored)
        behind = min(self._fresh.age_seconds(), now - self._began)
        return FollowerStatus(
            connected=self._connected,
            lag_revisions=lag,
            lag_seconds=behind if lag or silent > self._bookmark_seconds else 0.0,
            silent_seconds=silent,
            reconnects=max(0, self._streams - 1),
            resyncs=self.gaps_recorded,
            gaps=0,
        )
