"""``/health``: liveness of the event loop, readiness by pings of the dependencies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from chassis.errors import StoreUnavailable
from chassis.operations import CheckResult, HealthDetails, Status, checked, summarised
from edge.http.representation import reply
from edge.openapi.document import ANY_HEAD, problems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


class Check(NamedTuple):
    """One dependency: its name, its ping (raises when it is unavailable), and whether the edge can serve without it."""

    name: str
    ping: Callable[[], Awaitable[object]]
    required: bool


class Connects(Protocol):
    """The part of a follower that health reads."""

    connected: bool


class Pings(Protocol):
    """The part of the shared cache that health reads."""

    async def ping(self) -> bool:
        """Return whether Redis responds."""


class State(msgspec.Struct):
    """``ok``, ``degraded`` (something optional is unavailable) or ``down``."""

    status: Status


class Health:
    """Pings every dependency."""

    def __init__(self, checks: Sequence[Check]) -> None:
        """Ping these dependencies."""
        self._checks = checks
        self.draining = False

    async def readiness(self) -> HealthDetails:
        """Return the combined result of all pings."""
        found = await asyncio.gather(*(checked(check.ping, required=check.required) for check in self._checks))
        results = dict(zip((check.name for check in self._checks), found, strict=True))
        if self.draining:
            results["process"] = CheckResult("down", detail="draining")
        return summarised(results)


class FollowerPing:
    """Whether the follower of a log is connected."""

    def __init__(self, follower: Connects) -> None:
        """Read the status of the follower."""
        self._follower = follower

    async def __call__(self) -> None:
        """Return while its stream is open; raise ``StoreUnavailable`` otherwise."""
        if not self._follower.connected:
            message = "The log is not being followed."
            raise StoreUnavailable(message)


class RedisPing:
    """Whether Redis responds."""

    def __init__(self, shared: Pings) -> None:
        """Ping Redis, past its circuit breaker."""
        self._shared = shared

    async def __call__(self) -> None:
        """Return when it responds; raise ``StoreUnavailable`` otherwise."""
        if not await self._shared.ping():
            message = "Redis does not respond."
            raise StoreUnavailable(message)


TheHealth: TypeAlias = NamedDependency[SkipValidation[Any]]


# No connection bound and no load rejects a probe.
_LIVE: Final = problems(*ANY_HEAD)
_READY: Final = {**_LIVE, 503: ResponseSpec(State, description="It cannot serve.", generate_examples=False)}


@get(
    "/health/live",
    tags=["operations"],
    summary="Reports whether the process is alive",
    response_description="The process is alive.",
    responses=_LIVE,
)
async def check_liveness() -> Response[State]:
    """Returns 200 while the process responds; details are on its operations port."""
    return reply(State("ok"))


@get(
    "/health/ready",
    tags=["operations"],
    summary="Reports whether the process can serve requests",
    response_description="The process can serve requests.",
    responses=_READY,
)
async def check_readiness(health: TheHealth) -> Response[State]:
    """Returns 200 when the edge can serve, degraded or not; else 503 with the same body."""
    readiness = await health.readiness()
    return reply(State(readiness.status), status=503 if readiness.status == "down" else 200)
