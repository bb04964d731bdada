"""The second tier: Redis, shared by every edge process, filled by all and kept true by the one that applies the log.

Reads and fills never raise: with Redis away they miss. Applying raises, because whoever applies must know where it is.
"""

from __future__ import annotations

import logging
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis_asyncio
from redis.exceptions import RedisError

from chassis.changes.cursor import Position
from edge.cache import keys, scripts
from edge.cache.breaker import CircuitBreaker
from edge.cache.errors import SharedTierAway, SharedTierBehind
from edge.cache.horizon import MAX_NAMES
from edge.cache.values import CODECS, Members, Stored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from edge.cache.keys import Kind
    from edge.cache.memory import LogChange

log = logging.getLogger(__name__)

CALL_SECONDS = 0.15  # a local Redis answers in under 1 ms; past this a read of the service is the better bet
APPLY_SECONDS = 5.0  # 500 log entries may hold a megabyte or two, and nobody waits for them
CONNECT_SECONDS = 0.5
CONNECTIONS = 16
READ_AT_ONCE = 200  # entries of one script call, so that Redis is never held for long
APPLY_AT_ONCE = 500
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class SharedHit:
    """A value of the shared tier that shows everything up to ``revision``."""

    value: Any
    revision: int


class SharedCache:
    """Entries of every kind in Redis. ``url`` ``None`` means there is no Redis: every read misses."""

    def __init__(self, url: str | None, breaker: CircuitBreaker | None = None) -> None:
        """Connect lazily."""
        self.breaker = breaker or CircuitBreaker()
        self._redis: Any = None
        self._patient: Any = None
        if url is None:
            return
        self._redis = _client(url, CALL_SECONDS, CONNECTIONS)
        self._patient = _client(url, APPLY_SECONDS, 2)
        register = self._redis.register_script
        self._read = register(scripts.READ)
        self._read_tagged = register(scripts.READ_TAGGED)
        self._fill = register(scripts.FILL)
        self._apply = register(scripts.APPLY)
        self._reset = register(scripts.RESET)
        self._renew = register(scripts.RENEW)

    @property
    def is_configured(self) -> bool:
        """Whether there is a Redis at all."""
        return self._redis is not None

    @property
    def is_usable(self) -> bool:
        """Whether a call made now would be tried."""
        return self._redis is not None and self.breaker.would_allow

    async def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._patient.aclose()

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            await self._call(lambda: self._redis.ping())  # noqa: PLW0108 - there may be no Redis to name
        except SharedTierAway:
            return False
        return True

    async def read(self, kind: Kind, epoch: uuid.UUID, required: Mapping[str, int]) -> dict[str, SharedHit]:
        """The entries complete up to what each requires. Redis away, or nobody applying the log: none."""
        space = keys.namespace(kind.log, epoch)
        idents = list(required)
        hits: dict[str, SharedHit] = {}
        for start in range(0, len(idents), READ_AT_ONCE):
            chunk = idents[start : start + READ_AT_ONCE]
            names = [f"{space}:state", *(_entry_key(space, kind, ident) for ident in chunk)]
            try:
                found = await self._call(lambda names=names: self._read(keys=names))
            except SharedTierAway:
                return hits
            hits |= {
                ident: hit
                for ident, hit in zip(chunk, _hits(kind, chunk, found), strict=False)
                if hit is not None and hit.revision >= required[ident]
            }
        return hits

    async def read_tagged(
        self, kind: Kind, epoch: uuid.UUID, ident: str, tags: Sequence[str], required: int
    ) -> SharedHit | None:
        """An entry that no tag has ended, complete up to what is required."""
        space = keys.namespace(kind.log, epoch)
        names = [f"{space}:state", f"{space}:touched", _entry_key(space, kind, ident)]
        try:
            found = await self._call(lambda: self._read_tagged(keys=names, args=list(tags)))
        except SharedTierAway:
            return None
        hit = next(iter(_hits(kind, [ident], found)), None)
        return hit if hit is not None and hit.revision >= required else None

    async def fill(
        self, kind: Kind, values: Mapping[str, Any], read_at: Position, tags: Sequence[str] = ()
    ) -> dict[str, bool]:
        """Offer values read at a position; which were kept: not what something newer touched, none with Redis away."""
        space = keys.namespace(kind.log, read_at.epoch)
        offers = [
            (_fill_keys(space, kind, ident), _fill_args(kind, ident, value, read_at, tags))
            for ident, value in values.items()
        ]

        async def run() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for names, args in offers:
                    await self._fill(keys=names, args=args, client=pipe)
                return list(await pipe.execute())

        try:
            outcomes = await self._call(run)
        except SharedTierAway:
            return dict.fromkeys(values, False)
        return {ident: outcome == b"kept" for ident, outcome in zip(values, outcomes, strict=True)}

    async def drop(self, kind: Kind, epoch: uuid.UUID, idents: Sequence[str]) -> None:
        """Forget entries; raises ``SharedTierAway``."""
        space = keys.namespace(kind.log, epoch)
        await self._call(lambda: self._redis.unlink(*(_entry_key(space, kind, ident) for ident in idents)))

    async def drop_all(self, log_name: str, epoch: uuid.UUID) -> None:
        """Forget every entry of a log at once, keeping its position; raises ``SharedTierAway``."""
        space = keys.namespace(log_name, epoch)
        await self._call(lambda: self._renew(keys=[f"{space}:state"], args=[uuid.uuid4().hex]))

    async def position(self, log_name: str) -> Position | None:
        """Where the tier is complete up to; ``None`` when it never was or has lost it. Raises ``SharedTierAway``."""
        epoch_text = await self._call(lambda: self._patient.get(keys.head_key(log_name)))
        if epoch_text is None:
            return None
        epoch = uuid.UUID(epoch_text.decode())
        at = await self._call(lambda: self._patient.hget(f"{keys.namespace(log_name, epoch)}:state", "at"))
        return None if at is None else Position(log_name, epoch, int(at))

    async def begin(self, position: Position) -> None:
        """Drop what is held of a log and count as complete up to a position. Raises ``SharedTierAway``."""
        space = keys.namespace(position.log, position.epoch)
        names = [f"{space}:state", f"{space}:touched"]
        args = [position.revision, uuid.uuid4().hex]
        await self._call(lambda: self._reset(keys=names, args=args, client=self._patient))
        before = await self._call(
            lambda: self._patient.set(keys.head_key(position.log), position.epoch.hex, get=True),
        )
        if before is not None and before.decode() != position.epoch.hex:
            old = keys.namespace(position.log, uuid.UUID(before.decode()))
            await self._call(lambda: self._patient.unlink(f"{old}:state", f"{old}:touched"))

    async def apply(self, after: int, position: Position, changes: Sequence[LogChange]) -> None:
        """Apply the log entries in (``after``, ``position``]; what it knows already changes nothing.

        Raises ``SharedTierBehind`` when it does not stand at ``after`` or beyond, ``SharedTierAway``.
        """
        for start in range(0, max(len(changes), 1), APPLY_AT_ONCE):
            chunk = changes[start : start + APPLY_AT_ONCE]
            is_last = start + APPLY_AT_ONCE >= len(changes)
            until = position.revision if is_last else chunk[-1].revision
            await self._apply_chunk(after, Position(position.log, position.epoch, until), chunk)
            after = until

    async def _apply_chunk(self, after: int, position: Position, changes: Sequence[LogChange]) -> None:
        space = keys.namespace(position.log, position.epoch)
        names = [f"{space}:state", f"{space}:touched"]
        touches: list[Any] = []
        rest: list[Any] = []
        for change in changes:
            for name in change.names:
                touches += (change.revision, name)
            if change.kind is None:
                continue
            names.append(_entry_key(space, change.kind, change.ident))
            how, stored = _how(change)
            rest += (change.revision, how, len(stored))
            for member in stored:
                rest.extend(member)
        args = [after, position.revision, MAX_NAMES, len(touches) // 2, *touches, *rest]
        outcome = await self._call(lambda: self._apply(keys=names, args=args, client=self._patient))
        if outcome not in {b"applied", b"known"}:
            message = f"the shared tier cannot apply {position.log} after {after}: {outcome.decode()}"
            raise SharedTierBehind(message)

    async def _call(self, command: Any) -> Any:
        """Run a command under the breaker; its failures come out as ``SharedTierAway``."""
        if self._redis is None or not self.breaker.allows():
            message = "Redis is not asked"
            raise SharedTierAway(message)
        try:
            pending: Awaitable[Any] = command()
            answer = await pending
        except (RedisError, OSError, TimeoutError) as error:
            was_open = self.breaker.is_open
            self.breaker.failed()
            if self.breaker.is_open and not was_open:
                log.warning("the shared cache is away, going on without it: %s", error)
            raise SharedTierAway(str(error)) from error
        except BaseException:
            self.breaker.forget()  # cancelled half-way, which says nothing about Redis
            raise
        if self.breaker.succeeded():
            log.info("the shared cache is back")
        return answer


def _client(url: str, seconds: float, connections: int) -> redis_asyncio.Redis:
    """Blocking: with every connection busy a call waits its turn, it does not fail."""
    pool = redis_asyncio.BlockingConnectionPool.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        max_connections=connections,
        timeout=seconds,
    )
    return redis_asyncio.Redis.from_pool(pool)


def _entry_key(space: str, kind: Kind, ident: str) -> str:
    return f"{space}:{kind.letter}:{ident}"


def _fill_keys(space: str, kind: Kind, ident: str) -> list[str]:
    return [f"{space}:state", f"{space}:touched", _entry_key(space, kind, ident)]


def _fill_args(kind: Kind, ident: str, value: Any, read_at: Position, tags: Sequence[str]) -> list[Any]:
    depends = keys.names_of(kind, ident, tuple(tags))
    stored = CODECS[kind.name].store(value, read_at.revision)
    life = kind.lifetime_seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads expiry
    args: list[Any] = [read_at.revision, int(life * 1000), len(depends), *depends, len(stored)]
    for member in stored:
        args.extend(member)
    return args


def _how(change: LogChange) -> tuple[str, list[Stored]]:
    """The word for what is done with an entry, and its members."""
    if change.kind is None or not change.ident:
        return "all", [(uuid.uuid4().hex, 0, b"")]
    if change.value is None:
        return "drop", []
    return "join", CODECS[change.kind.name].store(change.value(), change.revision)


def _hits(kind: Kind, idents: Sequence[str], found: Sequence[Any]) -> list[SharedHit | None]:
    if not found:
        return []
    at, generation = int(found[0]), found[1]
    return [_hit(kind, ident, fields, at, generation) for ident, fields in zip(idents, found[2:], strict=True)]


def _hit(kind: Kind, ident: str, fields: Sequence[bytes], at: int, generation: bytes) -> SharedHit | None:
    held = dict(zip(fields[::2], fields[1::2], strict=True))
    if not held or held.get(b"g") != generation:
        return None
    members: Members = {}
    for field, stored in held.items():
        if field.startswith(b"m:"):
            version, _, raw = stored.partition(b" ")
            members[field[2:].decode()] = (int(version), raw)
    return SharedHit(CODECS[kind.name].restore(ident, members), max(at, int(held[b"r"])))
