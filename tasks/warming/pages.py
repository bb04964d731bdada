"""Reading product pages right after they changed, so that the next reader finds them in the cache."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from tasks.metrics import PAGES_WARMED

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_AT_ONCE = 4  # pages read at a time: warming must not crowd out people
_TIMEOUT_SECONDS = 3.0
MIN_REVISION_HEADER = "Partstream-Min-Revision"


class PageWarmer:
    """Reads pages from every edge it knows: each has a first-level cache of its own."""

    def __init__(self, client: httpx.AsyncClient, edge_urls: Sequence[str]) -> None:
        """``edge_urls`` are base addresses without a trailing slash."""
        self._client = client
        self._edge_urls = tuple(edge_urls)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def warm(self, part_ids: Sequence[str], token: str) -> None:
        """Read the pages as they are at a token or later. One that cannot be read is left to its readers."""
        async with asyncio.TaskGroup() as group:
            for part_id in part_ids:
                for base in self._edge_urls:
                    group.create_task(self._read(f"{base}/api/v1/parts/{quote(part_id, safe='')}", token))

    async def _read(self, url: str, token: str) -> None:
        headers = {MIN_REVISION_HEADER: token} if token else {}
        async with self._turns:
            try:
                response = await self._client.get(url, headers=headers, timeout=_TIMEOUT_SECONDS)
            except httpx.HTTPError as error:
                PAGES_WARMED.labels("failed").inc()
                log.debug("%s was not warmed: %r", url, error)
                return
        # A draft or deleted part is not found, which is as it should be.
        PAGES_WARMED.labels("ok" if response.status_code == httpx.codes.OK else "refused").inc()
