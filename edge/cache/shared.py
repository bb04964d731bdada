"""The second tier: Redis, shared by every edge process, filled by all, updated from the logs by a leader.

Reads and fills never raise: without Redis they miss. Applying raises, because its caller must know the position. A key
with content that this cache does not write is moved to the quarantine.
"""

from __future__ import annotations

import contextlib
import logging
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis_asyncio
from redis.exceptions import RedisError, ResponseError

from changelog.cursor import Position
from chassis import redis_quarantine
from edge.cache import keys, scripts
from edge.cache.breaker import CircuitBreaker, SharedTierBehind, SharedTierUnavailable
from edge.cache.memory import MAX_NAMES
from edge.cache.scripts import is_sound_entry, is_sound_state, names_itself, redis_type
from edge.cache.values import CODECS, Members, Stored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from edge.cache.keys import Kind
    from edge.cache.memory import LogChange

log = logging.getLogger(__name__)

CALL_SECONDS = 0.15  # a local Redis responds in under 1 ms; past this a read of the service is faster
APPLY_SECONDS = 5.0  # 500 log entries may hold a megabyte or two, and no request waits for them
CONNECT_SECONDS = 0.5
CONNECTIONS = 16
READ_AT_ONCE = 200  # entries of one script call, so that Redis is never blocked for long
APPLY_AT_ONCE = 500
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class SharedHit:
    """A value of the shared tier that shows everything up to ``revision``."""

    value: Any
    revision: int


class SharedCache:
    """Entries of every kind in Redis. Without a ``url`` there is no Redis: every read misses."""

    def __init__(
        self,
        url: str | None,
        breaker: CircuitBreaker | None = None,
        on_quarantine: redis_quarantine.OnQuarantine = lambda _key, _detail: None,
    ) -> None:
        """Connect lazily; ``on_quarantine`` is called with each key that is moved aside, and why."""
        self._on_quarantine = on_quarantine
        self.breaker = breaker or CircuitBreaker()
        self._redis: Any = None
        self._bulk: Any = None
        if url is None:
            return
        self._redis = _client(url, CALL_SECONDS, CONNECTIONS)
        self._bulk = _client(url, APPLY_SECONDS, 2)
        register = self._redis.register_script
        self._read = register(scripts.READ)
        self._read_tagged = register(scripts.READ_TAGGED)
        self._fill = register(scripts.FILL)
        self._apply = register(scripts.APPLY)
        self._reset = register(scripts.RESET)
        self._renew = register(scripts.RENEW)
        self._move_aside = register(redis_quarantine.MOVE_ASIDE)

    @property
    def is_configured(self) -> bool:
        """Return whether a Redis is configured."""
        return self._redis is not None

    @property
    def is_usable(self) -> bool:
        """Return whether a call made now would be tried."""
        return self._redis is not None and self.breaker.would_allow

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._bulk.aclose()

    async def ping(self) -> bool:
        """Return whether Redis responds."""
        try:
            await self._call(lambda: self._redis.ping())  # noqa: PLW0108 - there may be no Redis to name
        except SharedTierUnavailable:
            return False
        return True

    async def read(self, kind: Kind, epoch: uuid.UUID, required: Mapping[str, int]) -> dict[str, SharedHit]:
        """Return the entries complete up to what each requires; none without Redis or without a leader."""
        space = keys.namespace(kind.log, epoch)
        idents = list(required)
        hits: dict[str, SharedHit] = {}
        for start in range(0, len(idents), READ_AT_ONCE):
            chunk = idents[start : start + READ_AT_ONCE]
            names = [f"{space}:state", *(_entry_key(space, kind, ident) for ident in chunk)]
            try:
                found = await self._call(lambda names=names: self._read(keys=names), names)
            except SharedTierUnavailable:
                return hits
            read = await self._hits(kind, chunk, found, names)
            hits |= {
                ident: hit
                for ident, hit in zip(chunk, read, strict=False)
                if hit is not None and hit.revision >= required[ident]
            }
        return hits

    async def read_tagged(
        self, kind: Kind, epoch: uuid.UUID, ident: str, tags: Sequence[str], required: int
    ) -> SharedHit | None:
        """Return an entry that no tag has ended, complete up to what is required."""
        space = keys.namespace(kind.log, epoch)
        names = [f"{space}:state", f"{space}:touched", _entry_key(space, kind, ident)]
        try:
            found = await self._call(lambda: self._read_tagged(keys=names, args=list(tags)), names)
        except SharedTierUnavailable:
            return None
        hit = next(iter(await self._hits(kind, [ident], found, [names[0], names[2]])), None)
        return hit if hit is not None and hit.revision >= required else None

    async def fill(
        self, kind: Kind, values: Mapping[str, Any], read_at: Position, tags: Sequence[str] = ()
    ) -> dict[str, bool]:
        """Offer values read at a position; return which were stored: not those that something newer touched."""
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
            outcomes = await self._call(run, list(dict.fromkeys(name for names, _ in offers for name in names)))
        except SharedTierUnavailable:
            return dict.fromkeys(values, False)
        return {ident: outcome == b"kept" for ident, outcome in zip(values, outcomes, strict=True)}

    async def drop(self, kind: Kind, epoch: uuid.UUID, idents: Sequence[str]) -> None:
        """Drop entries; raise ``SharedTierUnavailable``."""
        space = keys.namespace(kind.log, epoch)
        await self._call(lambda: self._redis.unlink(*(_entry_key(space, kind, ident) for ident in idents)))

    async def drop_all(self, log_name: str, epoch: uuid.UUID) -> None:
        """Drop every entry of a log at once, without its position; raise ``SharedTierUnavailable``."""
        space = keys.namespace(log_name, epoch)
        names = [f"{space}:state"]
        await self._call(lambda: self._renew(keys=names, args=[uuid.uuid4().hex]), names)

    async def position(self, log_name: str) -> Position | None:
        """Return the position the tier is complete up to; ``None`` without one. Raise ``SharedTierUnavailable``."""
        head = keys.head_key(log_name)
        epoch_text = await self._call(lambda: self._bulk.get(head), [head])
        if epoch_text is None:
            return None
        epoch = _epoch_of(epoch_text)
        if epoch is None:
            await self._move([head], "its epoch cannot be read")
            return None
        state = f"{keys.namespace(log_name, epoch)}:state"
        at = await self._call(lambda: self._bulk.hget(state, "at"), [state])
        if at is None or not await self._is_sound([state]):
            return None
        return Position(log_name, epoch, int(at))

    async def begin(self, position: Position) -> None:
        """Drop what is held of a log and set its position. Raise ``SharedTierUnavailable``."""
        space = keys.namespace(position.log, position.epoch)
        names = [f"{space}:state", f"{space}:touched"]
        args = [position.revision, uuid.uuid4().hex]
        await self._call(lambda: self._reset(keys=names, args=args, client=self._bulk), names)
        head = keys.head_key(position.log)
        before = await self._call(lambda: self._bulk.set(head, position.epoch.hex, get=True), [head])
        epoch = None if before is None else _epoch_of(before)
        if epoch is not None and epoch != position.epoch:
            old = keys.namespace(position.log, epoch)
            await self._call(lambda: self._bulk.unlink(f"{old}:state", f"{old}:touched"))

    async def apply(self, after: int, position: Position, changes: Sequence[LogChange]) -> None:
        """Apply the log entries in (``after``, ``position``]; those applied already change nothing.

        Raise ``SharedTierBehind`` when the tier is before ``after``, and ``SharedTierUnavailable``.
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
        outcome = await self._call(lambda: self._apply(keys=names, args=args, client=self._bulk), names)
        if outcome not in {b"applied", b"known"}:
            message = f"the shared tier cannot apply {position.log} after {after}: {outcome.decode()}"
            raise SharedTierBehind(message)

    async def _hits(
        self, kind: Kind, idents: Sequence[str], found: Sequence[Any], names: Sequence[str]
    ) -> list[SharedHit | None]:
        """Return the entries read; one that cannot be decoded is a miss, and its key is moved aside.

        ``names`` are the keys of the state and of the entries.
        """
        if not found or (not found[0].isdigit() and not await self._is_sound(names[:1])):
            return []
        at, generation = int(found[0]), found[1]
        hits: list[SharedHit | None] = []
        broken: list[str] = []
        for ident, fields, name in zip(idents, found[2:], names[1:], strict=True):
            try:
                hits.append(_hit(kind, ident, fields, at, generation))
            except Exception:  # noqa: BLE001 - whatever a decoder raises: it is another form
                hits.append(None)
                broken.append(name)
        if broken:
            await self._move(broken, f"the {kind.name} cannot be decoded")
        return hits

    async def _call(self, command: Any, names: Sequence[str] = ()) -> Any:
        """Run a command through the breaker; raise ``SharedTierUnavailable`` when it fails.

        When Redis rejects it because of one of its keys, that key is moved aside and the command runs once more.
        """
        try:
            return await self._attempt(command)
        except SharedTierUnavailable as error:
            if not isinstance(error.__cause__, ResponseError) or not names or await self._is_sound(names):
                raise
        return await self._run(command)

    async def _is_sound(self, names: Sequence[str]) -> bool:
        """Return whether keys hold what the cache writes; move those aside that do not."""
        try:
            mistyped = await self._moved({name: redis_type(name) for name in names})
            for name, held in mistyped.items():
                self._on_quarantine(name, f"holds a {held}, not a {redis_type(name)}")
            hashes = [name for name in names if redis_type(name) == "hash"]
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in hashes:
                    pipe.hgetall(name)
                contents = await self._inspect(pipe.execute)
        except SharedTierUnavailable:
            return True  # nothing is known
        broken = [
            name
            for name, fields in zip(hashes, contents, strict=True)
            if fields and not (is_sound_state(fields) if name.endswith("}:state") else is_sound_entry(fields))
        ]
        await self._move(broken, "its content cannot be read")
        return not mistyped and not broken

    async def _move(self, names: Sequence[str], detail: str) -> None:
        """Move unusable keys aside; while Redis is unavailable they stay until they are read again."""
        with contextlib.suppress(SharedTierUnavailable):
            for name in await self._moved(dict.fromkeys(names, redis_quarantine.ANY_TYPE)):
                self._on_quarantine(name, detail)

    async def _moved(self, expected: Mapping[str, str]) -> dict[str, str]:
        if not expected:
            return {}
        names, args = redis_quarantine.arguments(expected)
        return redis_quarantine.moved(await self._inspect(lambda: self._move_aside(keys=names, args=args)))

    async def _attempt(self, command: Any) -> Any:
        if self._redis is None or not self.breaker.allows():
            message = "Redis is not asked"
            raise SharedTierUnavailable(message)
        return await self._run(command)

    @staticmethod
    async def _inspect(command: Any) -> Any:
        """Run a command past the breaker, which may be open because of the very key concerned."""
        try:
            return await command()
        except (RedisError, OSError, TimeoutError) as error:
            raise SharedTierUnavailable(str(error)) from error

    async def _run(self, command: Any) -> Any:
        try:
            pending: Awaitable[Any] = command()
            reply = await pending
        except (RedisError, OSError, TimeoutError) as error:
            was_open = self.breaker.is_open
            self.breaker.failed()
            if self.breaker.is_open and not was_open:
                log.warning("shared cache unavailable, continuing without it error=%s", error)
            raise SharedTierUnavailable(str(error)) from error
        except BaseException:
            self.breaker.forget()  # cancelled half-way, which says nothing about Redis
            raise
        if self.breaker.succeeded():
            log.info("shared cache available")
        return reply


def _client(url: str, seconds: float, connections: int) -> redis_asyncio.Redis:
    """Return a client of a blocking pool: with every connection busy a call waits, it does not fail."""
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
    """Return how an entry is changed, as a word of the script, and its members."""
    if change.kind is None or not change.ident:
        return "all", [(uuid.uuid4().hex, 0, b"")]
    if change.value is None:
        return "drop", []
    return "join", CODECS[change.kind.name].store(change.value(), change.revision)


def _hit(kind: Kind, ident: str, fields: Sequence[bytes], at: int, generation: bytes) -> SharedHit | None:
    held = dict(zip(fields[::2], fields[1::2], strict=True))
    if not held or held.get(b"g") != generation:
        return None
    members: Members = {}
    for field, stored in held.items():
        if field.startswith(b"m:"):
            version, _, raw = stored.partition(b" ")
            members[field[2:].decode()] = (int(version), raw)
    value = CODECS[kind.name].restore(ident, members)
    if not names_itself(ident, value):
        message = f"the entry of {ident} belongs to another one"
        raise ValueError(message)
    return SharedHit(value, max(at, int(held[b"r"])))


def _epoch_of(text: bytes) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.decode())
    except ValueError:
        return None
