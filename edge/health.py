"""``/health``: alive is that the loop turns; ready is what the pings of the dependencies say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from chassis.errors import StoreUnavailable
from edge.openapi import refusals
from edge.representation import reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PING_SECONDS = 2.0

Word = Literal["ok", "degraded", "down"]


class Check(NamedTuple):
    """One dependency: its name, its ping (raises when it is away), and whether the edge can serve without it."""

    name: str
    ping: Callable[[], Awaitable[object]]
    required: bool


class Connects(Protocol):
    """A follower, as far as health looks at it."""

    connected: bool


class Pings(Protocol):
    """The shared tier, as far as health looks at it."""

    async def ping(self) -> bool:
        """Whether it answers."""


class CheckResult(msgspec.Struct):
    """What a ping said."""

    status: Word
    required: bool
    ms: float
    detail: str


class Alive(msgspec.Struct):
    """The process answers."""

    status: Word


class Readiness(msgspec.Struct):
    """``ok``, ``degraded`` (something optional is away) or ``down``."""

    status: Word
    checks: dict[str, CheckResult]


class Health:
    """Asks every dependency."""

    def __init__(self, checks: Sequence[Check]) -> None:
        """Ask these."""
        self._checks = checks
        self.draining = False

    async def readiness(self) -> Readiness:
        """What all pings say together."""
        results = dict(
            zip((c.name for c in self._checks), await asyncio.gather(*map(_ping, self._checks)), strict=True)
        )
        if self.draining:
            results["process"] = CheckResult("down", required=True, ms=0.0, detail="being replaced")
        bad = [result for result in results.values() if result.status != "ok"]
        down = any(result.required for result in bad)
        return Readiness("down" if down else "degraded" if bad else "ok", results)


class FollowerPing:
    """Whether a log is being followed."""

    def __init__(self, follower: Connects) -> None:
        """Look at the follower."""
        self._follower = follower

    async def __call__(self) -> None:
        """Return while its stream is open; ``StoreUnavailable`` otherwise."""
        if not self._follower.connected:
            message = "The log is not being followed."
            raise StoreUnavailable(message)


class RedisPing:
    """Whether Redis answers."""

    def __init__(self, shared: Pings) -> None:
        """Ask the shared tier, past its circuit breaker."""
        self._shared = shared

    async def __call__(self) -> None:
        """Return when it answers; ``StoreUnavailable`` otherwise."""
        if not await self._shared.ping():
            message = "Redis does not answer."
            raise StoreUnavailable(message)


async def _ping(check: Check) -> CheckResult:
    began = time.perf_counter()
    status: Word = "ok"
    detail = ""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await check.ping()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not there
        status = "down" if check.required else "degraded"
        detail = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return CheckResult(status, check.required, round((time.perf_counter() - began) * 1000, 1), detail)


TheHealth: TypeAlias = NamedDependency[SkipValidation[Any]]


@get("/health/live", tags=["operations"], summary="Is the process alive")
async def live() -> Response[Alive]:
    """200 as long as it answers at all."""
    return reply(Alive("ok"))


@get("/health/ready", tags=["operations"], summary="Can it serve", responses=refusals(503))
async def ready(health: TheHealth) -> Response[Readiness]:
    """200 when it can serve, degraded or not; 503 with the same body when it cannot."""
    readiness = await health.readiness()
    return reply(readiness, status=503 if readiness.status == "down" else 200)
