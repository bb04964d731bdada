"""Reads product pages after a change, so that they are in the cache for the next client."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from tasks.metrics import PAGES_WARMED

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

MIN_REVISION_HEADER = "Partstream-Min-Revision"
MAX_PAGES_WAITING = 500
_MAX_AGE_SECONDS = 30.0  # after this time clients have read the page
_AT_ONCE = 4  # concurrent reads: warming must not displace clients
_TIMEOUT_SECONDS = 3.0
# The rate limit is shared by all clients of this address: half of it is left to the others.
_POLICY = re.compile(r'"reads";q=(\d+)')
_LEFT = re.compile(r'"reads";r=(\d+);t=(\d+)')
_SHARE_OF_OTHERS = 0.5


class PageWarmer:
    """Reads pages from every configured edge: each has its own memory cache.

    Pages wait here and not in the worker's threads, so that a slow edge cannot delay the audit. A page that is queued
    again while it waits is read once, at the later revision.
    """

    def __init__(self, client: httpx.AsyncClient, edge_urls: Sequence[str]) -> None:
        """``edge_urls`` are base addresses without a trailing slash."""
        self._client = client
        self._edge_urls = tuple(edge_urls)
        self._waiting: dict[str, str] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._resume_at: dict[str, float] = {}

    async def warm(self, part_ids: Sequence[str], token: str, queued_at: float) -> None:
        """Queue pages to read at a revision token or later; drop late and excess ones."""
        if time.time() - queued_at > _MAX_AGE_SECONDS:
            PAGES_WARMED.labels("late").inc(len(part_ids))
            return
        for part_id in part_ids:
            if part_id not in self._waiting and len(self._waiting) >= MAX_PAGES_WAITING:
                PAGES_WARMED.labels("too_many").inc()
                continue
            self._waiting[part_id] = token
        while self._waiting and len(self._readers) < _AT_ONCE:
            reader = asyncio.create_task(self._read_waiting(), name="warm-pages")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
            await asyncio.sleep(0)  # the task takes its page before the next iteration

    async def settled(self) -> None:
        """Return when every queued page is read or dropped."""
        while self._readers:
            await asyncio.wait(self._readers)

    async def stop(self) -> None:
        """Drop waiting pages, and stop the readers."""
        self._waiting.clear()
        for reader in self._readers:
            reader.cancel()
        await self.settled()

    async def _read_waiting(self) -> None:
        while self._waiting:
            part_id = next(iter(self._waiting))
            token = self._waiting.pop(part_id)
            for base in self._edge_urls:
                if time.monotonic() < self._resume_at.get(base, 0.0):
                    PAGES_WARMED.labels("too_many").inc()
                else:
                    await self._read(base, f"{base}/api/v1/parts/{quote(part_id, safe='')}", token)

    async def _read(self, base: str, url: str, token: str) -> None:
        headers = {MIN_REVISION_HEADER: token} if token else {}
        try:
            response = await self._client.get(url, headers=headers, timeout=_TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            PAGES_WARMED.labels("failed").inc()
            log.debug("page not warmed url=%s error=%r", url, error)
            return
        # A draft or deleted part is not found, as for clients.
        PAGES_WARMED.labels("ok" if response.status_code == httpx.codes.OK else "refused").inc()
        if seconds := _pause(response.headers):
            self._resume_at[base] = time.monotonic() + seconds


def _pause(headers: httpx.Headers) -> float:
    """Return the seconds for which the rest of the rate limit belongs to others; 0 while there is enough for all."""
    policy, left = _POLICY.search(headers.get("RateLimit-Policy", "")), _LEFT.search(headers.get("RateLimit", ""))
    if policy is None or left is None or int(left[1]) > _SHARE_OF_OTHERS * int(policy[1]):
        return 0.0
    return float(left[2])
