"""Cache-aside over both tiers: read memory, then Redis, then the service; keep only what cannot be out of date."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from changelog import cursor as cursors
from chassis.errors import DeadlinePassed, Unavailable
from edge import metrics
from edge.cache import keys
from edge.cache.errors import SharedTierAway
from edge.cache.loading import BatchedFlight, SingleFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from prometheus_client import Counter

    from edge.cache.keys import Kind
    from edge.cache.memory import Entry, MemoryCache
    from edge.cache.retry import RetryQueue
    from edge.cache.shared import SharedCache

BodyT = TypeVar("BodyT")

FRESH_SECONDS: Final = 6.0  # an idle stream says so every 5 s; past this entries are called stale
STALE_SECONDS: Final = 30.0  # past this a stale entry is not served while the service can be asked
SOFT_SECONDS: Final = 0.25  # past this an entry that is held, though stale, is the better answer
FILLS_UNDER_WAY: Final = 64  # offers to Redis at once; more are let go, the next reader offers again


class Followed(Protocol):
    """What the manager asks about the follower of a log."""

    @property
    def is_connected(self) -> bool:
        """Whether its stream is open."""

    def age_seconds(self) -> float:
        """Everything committed longer ago was applied here; infinite before the first message."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the source answered: a value for every identifier asked, and the token it was read at."""

    values: Mapping[str, Any]
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, the revision it shows at least, and which tier it came from.

    The revision is one of the epoch that memory follows; one from the source names its own, which may be another.
    """

    value: Any
    revision: int
    tier: str
    age_seconds: float = 0.0
    epoch: UUID | None = None

    @property
    def is_stale(self) -> bool:
        """Whether newer changes may exist that this process has not heard of."""
        return self.tier == "stale"


@lru_cache
def _reads_of(kind: str, tier: str) -> Counter:
    """The counter of one kind and tier: finding it by its labels, 100 times a listing, costs more than the reads."""
    return metrics.CACHE_READS.labels(kind, tier)


class CacheManager:
    """Both tiers as one cache. ``loaders`` read parts and stocks from the services, in batches."""

    def __init__(
        self,
        memory: MemoryCache,
        shared: SharedCache,
        retries: RetryQueue,
        loaders: Mapping[str, Callable[[list[str], str], Awaitable[Loaded]]],
        followed: Mapping[str, Followed],
    ) -> None:
        """``loaders`` by kind name, for the kinds that are not tagged; ``followed`` by log name."""
        self.memory = memory
        self.shared = shared
        self._retries = retries
        self._loaders = loaders
        self._followed = followed
        self._batches: dict[str, BatchedFlight[Answer]] = {
            kind.name: BatchedFlight(lambda idents, kind=kind: self._miss(kind, idents))  # type: ignore[misc]
            for kind in keys.KINDS
            if kind.name in loaders
        }
        self._single: SingleFlight[Answer] = SingleFlight()
        self._background: set[asyncio.Task[Any]] = set()

    async def get(self, kind: Kind, ident: str, min_token: str = "") -> Answer:
        """One value of an untagged kind. With ``min_token`` the source is asked for that revision."""
        return (await self.get_many(kind, [ident], min_token))[ident]

    async def get_many(self, kind: Kind, idents: Sequence[str], min_token: str = "") -> dict[str, Answer]:
        """Values of an untagged kind. Raises what the source raises, once nothing good enough is held."""
        if min_token and cursors.position_in(min_token, kind.log) is not None:
            return await self._read_through(kind, list(dict.fromkeys(idents)), min_token)
        answers: dict[str, Answer] = {}
        flights: dict[str, asyncio.Future[Answer]] = {}
        age = self._age(kind)
        for ident in idents:
            entry = self.memory.get(kind, ident) if age <= STALE_SECONDS else None
            if entry is not None and self._may_answer(kind, entry, age):
                answers[ident] = self._from_memory(kind, entry, age)
                if self.memory.wants_refresh(entry):
                    self._refresh(entry, self._read_through(kind, [ident], ""))
            elif ident not in flights:
                flights[ident] = self._batches[kind.name].start(ident)
        for ident, flight in flights.items():
            answers[ident] = await self._landed(kind, ident, flight)
        return answers

    async def get_tagged(
        self, kind: Kind, ident: str, tags: tuple[str, ...], load: Callable[[str], Awaitable[Loaded]], min_token: str
    ) -> Answer:
        """One value of a tagged kind; ``load`` reads it, at ``min_token`` when that is not empty."""
        if min_token and cursors.position_in(min_token, kind.log) is not None:
            return self.keep(kind, await load(min_token), tags)[ident]
        age = self._age(kind)
        entry = self.memory.get(kind, ident) if age <= STALE_SECONDS else None
        if entry is not None and self._may_answer(kind, entry, age):
            if self.memory.wants_refresh(entry):
                self._refresh(entry, self._load_tagged(kind, ident, tags, load))
            return self._from_memory(kind, entry, age)
        needed = self.memory.required(kind.log, tags) or 0
        for _ in range(2):
            answer = await self._single.run(
                (kind.name, ident), lambda: self._miss_tagged(kind, ident, tags, load, entry, age)
            )
            if answer.revision >= needed:
                break
        return answer

    def body(self, ident: str, render: Callable[[], BodyT]) -> BodyT:
        """A rendered body; ``ident`` must name every version, the view and the audience it depends on."""
        entry = self.memory.get(keys.BODY, ident)
        if entry is not None:
            _reads_of(keys.BODY.name, "memory").inc()
            held: BodyT = entry.value
            return held
        metrics.CACHE_READS.labels(keys.BODY.name, "source").inc()
        made = render()
        self.memory.fill(keys.BODY, ident, made, None)
        return made

    def expect(self, names: Iterable[str], token: str) -> None:
        """Raise the floor of these names to an acknowledged write: this process returns nothing older from now on."""
        for name in names:
            for position in cursors.decode(token).values():
                self.memory.expect(position, name)

    async def invalidate_part_cache(self, part_id: str) -> None:
        """Forget what is held of a part, in both tiers. For operators: the logs keep entries true by themselves."""
        for kind in (keys.STOCK, keys.PART):
            self.memory.drop(kind, part_id)
            epoch = self._epoch(kind)
            if epoch is None or not self.shared.is_configured:
                continue
            try:
                await self.shared.drop(kind, epoch, [part_id])
            except SharedTierAway:
                self._retries.put(kind, part_id)

    async def invalidate_all(self) -> None:
        """Forget everything, in both tiers."""
        self.memory.clear()
        for log_name in keys.LOGS:
            position = self.memory.position(log_name)
            if position is None or not self.shared.is_configured:
                continue
            try:
                await self.shared.drop_all(log_name, position.epoch)
            except SharedTierAway:
                self._retries.put_all(log_name)

    async def settle(self) -> None:
        """Return once what runs behind answers has ended."""
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)
            await asyncio.sleep(0)  # from Python 3.12 on, finished tasks are gathered without a turn of their callbacks

    async def close(self) -> None:
        """Let go of what runs behind answers."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _age(self, kind: Kind) -> float:
        followed = self._followed.get(kind.log)
        return followed.age_seconds() if followed is not None else float("inf")

    def _epoch(self, kind: Kind) -> UUID | None:
        position = self.memory.position(kind.log)
        return position.epoch if position is not None else None

    def _is_fresh(self, kind: Kind, age: float) -> bool:
        followed = self._followed.get(kind.log)
        return followed is not None and followed.is_connected and age <= FRESH_SECONDS

    def _may_answer(self, kind: Kind, entry: Entry, age: float) -> bool:
        """While the stream is fresh the log keeps entries true, so one whose lifetime is over is refreshed behind."""
        return self._is_fresh(kind, age) or not self.memory.has_ended(entry)

    def _from_memory(self, kind: Kind, entry: Entry, age: float) -> Answer:
        tier = "memory" if self._is_fresh(kind, age) else "stale"
        _reads_of(kind.name, tier).inc()
        return Answer(entry.value, entry.revision, tier, age)

    async def _landed(self, kind: Kind, ident: str, flight: asyncio.Future[Answer]) -> Answer:
        """The answer of a flight that may have begun before this read: too old a one is not taken."""
        needed = self.memory.required(kind.log, keys.names_of(kind, ident)) or 0
        answer = await asyncio.shield(flight)
        if answer.revision >= needed or answer.is_stale:
            return answer
        return (await self._read_through(kind, [ident], ""))[ident]

    async def _miss(self, kind: Kind, idents: list[str]) -> dict[str, Answer]:
        """Ask Redis, then the source; when neither answers, what memory holds is better than nothing, within bounds."""
        age = self._age(kind)
        answers = await self._from_shared(kind, idents) if age <= STALE_SECONDS else {}
        rest = [ident for ident in idents if ident not in answers]
        if not rest:
            return answers
        held = {
            ident: Answer(entry.value, entry.revision, "stale", age)
            for ident in rest
            if age <= STALE_SECONDS and (entry := self.memory.get(kind, ident)) is not None
        }
        if len(held) < len(rest):
            return answers | await self._read_through(kind, rest, "")
        try:
            async with asyncio.timeout(SOFT_SECONDS):
                return answers | await self._read_through(kind, rest, "")
        except (Unavailable, DeadlinePassed, TimeoutError):
            metrics.CACHE_READS.labels(kind.name, "stale").inc(len(held))
            return answers | held

    async def _from_shared(self, kind: Kind, idents: list[str]) -> dict[str, Answer]:
        epoch = self._epoch(kind)
        if epoch is None or not self.shared.is_usable:
            return {}
        required = {ident: self.memory.required(kind.log, keys.names_of(kind, ident)) or 0 for ident in idents}
        found = await self.shared.read(kind, epoch, required)
        # What memory refuses is older than something shown before: then the source is asked.
        hits = {
            ident: hit
            for ident, hit in found.items()
            if self.memory.fill(kind, ident, hit.value, cursors.Position(kind.log, epoch, hit.revision))
        }
        metrics.CACHE_READS.labels(kind.name, "shared").inc(len(hits))
        age = self._age(kind)
        return {ident: Answer(hit.value, hit.revision, "shared", age) for ident, hit in hits.items()}

    async def _read_through(self, kind: Kind, idents: list[str], min_token: str) -> dict[str, Answer]:
        loaded = await self._loaders[kind.name](idents, min_token)
        return self.keep(kind, loaded)

    async def _miss_tagged(
        self,
        kind: Kind,
        ident: str,
        tags: tuple[str, ...],
        load: Callable[[str], Awaitable[Loaded]],
        held: Entry | None,
        age: float,
    ) -> Answer:
        epoch = self._epoch(kind)
        if epoch is not None and age <= STALE_SECONDS and self.shared.is_usable:
            required = self.memory.required(kind.log, tags) or 0
            hit = await self.shared.read_tagged(kind, epoch, ident, tags, required)
            if hit is not None:
                metrics.CACHE_READS.labels(kind.name, "shared").inc()
                self.memory.fill(kind, ident, hit.value, cursors.Position(kind.log, epoch, hit.revision), tags)
                return Answer(hit.value, hit.revision, "shared", age)
        try:
            return await self._load_tagged(kind, ident, tags, load)
        except (Unavailable, DeadlinePassed):
            if held is None:
                raise
            return Answer(held.value, held.revision, "stale", age)

    async def _load_tagged(
        self, kind: Kind, ident: str, tags: tuple[str, ...], load: Callable[[str], Awaitable[Loaded]]
    ) -> Answer:
        return self.keep(kind, await load(""), tags)[ident]

    def keep(self, kind: Kind, loaded: Loaded, tags: tuple[str, ...] = ()) -> dict[str, Answer]:
        """Offer what was loaded to both tiers and answer with it, whether they keep it or not."""
        position = cursors.position_in(loaded.token, kind.log)
        metrics.CACHE_READS.labels(kind.name, "source").inc(len(loaded.values))
        kept: dict[str, Any] = {}
        for ident, value in loaded.values.items():
            if self.memory.fill(kind, ident, value, position, tags):
                kept[ident] = value
            else:
                metrics.CACHE_REFUSED.labels("memory").inc()
        if kept and kind.shared and position is not None:
            self._offer(kind, kept, position, tags)
        revision, epoch = (position.revision, position.epoch) if position is not None else (0, None)
        return {ident: Answer(value, revision, "source", epoch=epoch) for ident, value in loaded.values.items()}

    def _offer(self, kind: Kind, values: dict[str, Any], position: cursors.Position, tags: tuple[str, ...]) -> None:
        """Fill Redis behind the answer; when it cannot keep up, the next reader's fill will do."""
        if self.shared.is_usable and len(self._background) < FILLS_UNDER_WAY:
            self._behind(self.shared.fill(kind, values, position, tags))

    def _refresh(self, entry: Entry, reading: Awaitable[Any]) -> None:
        async def refresh() -> None:
            try:
                await reading
            except (Unavailable, DeadlinePassed):
                entry.refreshing = False

        self._behind(refresh())

    def _behind(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
