"""Waiting for a fact in another process, which has no signal to give to a test."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")

POLL_SECONDS = 0.05


async def eventually(look: Callable[[], Awaitable[Found | None]], within: float = 60.0) -> Found:
    """Return the first true thing that `look` finds; fail with the last false one after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := await look()):
        assert time.monotonic() < deadline, f"still {found!r} after {within:.0f} s"
        await asyncio.sleep(POLL_SECONDS)
    return found
