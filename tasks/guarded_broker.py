"""A broker that tolerates any content of its keys in Redis.

A queue is a list of ids, a hash of messages, sets of ids that a worker has fetched, and the same again for delayed
and for dead messages. A key of another type fails every command; a message that cannot be read ends the consumer that
fetched it, together with those fetched beside it. Both are moved aside here: the jobs among them are queued again from
the change log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.errors import DecodeError

from chassis import redis_quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_SCAN_COUNT: Final = 1_000
MOST_UNREADABLE: Final = 1_000  # messages kept aside; more are only counted

# KEYS acks, messages, aside; ARGV lifetime ms, most kept, ids... Moves messages, or ids without one, out of a queue.
_SET_ASIDE: Final = """
for i = 3, #ARGV do
  local message = redis.call('HGET', KEYS[2], ARGV[i])
  if message and redis.call('HLEN', KEYS[3]) < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[3], ARGV[i], message)
    redis.call('PEXPIRE', KEYS[3], ARGV[1])
  end
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('SREM', KEYS[1], ARGV[i])
end
return #ARGV - 2
"""

# KEYS list, messages, heartbeats, aside; ARGV lifetime ms, most kept, prefix and suffix of the sets of fetched ids.
# Moves messages out of a queue that no consumer can fetch: those in no list, and fetched by no registered worker. A
# worker registers with every command.
_SET_ORPHANS_ASIDE: Final = """
local reachable = {}
for _, ident in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do reachable[ident] = true end
for _, acks in ipairs(redis.call('KEYS', ARGV[3] .. '*' .. ARGV[4])) do
  local worker = string.sub(acks, #ARGV[3] + 1, #acks - #ARGV[4])
  if redis.call('TYPE', acks).ok == 'set' and redis.call('ZSCORE', KEYS[3], worker) then
    for _, ident in ipairs(redis.call('SMEMBERS', acks)) do reachable[ident] = true end
  end
end
local moved = 0
for _, ident in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not reachable[ident] then
    if redis.call('HLEN', KEYS[4]) < tonumber(ARGV[2]) then
      redis.call('HSET', KEYS[4], ident, redis.call('HGET', KEYS[2], ident))
      redis.call('PEXPIRE', KEYS[4], ARGV[1])
    end
    redis.call('HDEL', KEYS[2], ident)
    moved = moved + 1
  end
end
return moved
"""


class GuardedBroker(RedisBroker):
    """Dramatiq's broker, with its keys checked when a command fails and its messages when they are fetched."""

    def __init__(self, *, on_quarantine: redis_quarantine.OnQuarantine, **options: Any) -> None:
        """``on_quarantine`` receives the key that was moved and the reason, from any thread."""
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._on_quarantine = on_quarantine
        self._move_aside = self.client.register_script(redis_quarantine.MOVE_ASIDE)
        self._set_aside = self.client.register_script(_SET_ASIDE)
        self._set_orphans_aside = self.client.register_script(_SET_ORPHANS_ASIDE)

    def _dispatch(self, command: str) -> Callable[..., Any]:
        """Return a function that runs a command; it quarantines a key of a wrong type and retries."""
        plain = super()._dispatch(command)  # type: ignore[no-untyped-call]

        def guarded(queue_name: str, *arguments: Any) -> Any:
            found = self.guarded(lambda: plain(queue_name, *arguments))
            return self._readable(queue_name, found) if command == "fetch" else found

        return guarded

    def guarded(self, call: Callable[[], Any]) -> Any:
        """Run a call to Redis; when a key has a wrong type, quarantine it and retry once."""
        try:
            return call()
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error) or not self.move_mistyped():
                raise
        return call()

    def move_mistyped(self) -> int:
        """Move aside every key of this broker that has a wrong type; return how many."""
        names = [key.decode(errors="replace") for key in self._keys()]
        if not names:
            return 0
        keys, arguments = redis_quarantine.arguments({name: self._type_of(name) for name in names})
        moved = redis_quarantine.moved(self._move_aside(keys=keys, args=arguments))
        for key, held in moved.items():
            self._on_quarantine(key, f"holds a {held}, not a {self._type_of(key)}")
        return len(moved)

    def set_orphans_aside(self, queue_name: str) -> int:
        """Quarantine messages that no worker can fetch, including delayed ones; return how many."""
        moved = 0
        for name in (queue_name, dq_name(queue_name)):
            stored = f"{self.namespace}:{name}.msgs"
            keys = [f"{self.namespace}:{name}", stored, f"{self.namespace}:__heartbeats__", _aside(stored)]
            bounds = [redis_quarantine.LIFETIME_SECONDS * 1000, MOST_UNREADABLE]
            count = self._set_orphans_aside(keys=keys, args=[*bounds, f"{self.namespace}:__acks__.", f".{name}"])
            if count:
                self._on_quarantine(stored, f"{count} messages are in no queue")
            moved += count
        return moved

    def _keys(self) -> Iterable[bytes]:
        return list(self.client.scan_iter(match=f"{self.namespace}:*", count=_SCAN_COUNT))

    def _type_of(self, key: str) -> str:
        name = key.removeprefix(f"{self.namespace}:")
        if name == "__heartbeats__" or name.endswith(".XQ"):
            return "zset"
        if name.startswith("__acks__."):
            return "set"
        return "hash" if name.endswith(".msgs") else "list"

    def _readable(self, queue_name: str, messages: list[bytes | None]) -> list[bytes]:
        """Return the readable messages; quarantine the others."""
        good = [raw for raw in messages if raw is not None and _is_readable(raw)]
        if len(good) < len(messages):
            self._set_unreadable_aside(queue_name)
        return good

    def _set_unreadable_aside(self, queue_name: str) -> None:
        acks = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        stored = f"{self.namespace}:{queue_name}.msgs"
        ids = list(self.client.smembers(acks))
        if not ids:
            return
        found = zip(ids, self.client.hmget(stored, ids), strict=True)
        bad = [ident for ident, raw in found if raw is None or not _is_readable(raw, ident)]
        if not bad:
            return
        arguments = [redis_quarantine.LIFETIME_SECONDS * 1000, MOST_UNREADABLE, *bad]
        self._set_aside(keys=[acks, stored, _aside(stored)], args=arguments)
        self._on_quarantine(stored, f"{len(bad)} messages cannot be read, or are missing")


def _aside(stored: str) -> str:
    return f"quarantine:{{{stored}}}:unreadable"


def _is_readable(raw: bytes, ident: bytes | None = None) -> bool:
    """Return whether a message has the form of those that are queued here; ``ident`` is its key in the hash."""
    try:
        message = Message.decode(raw)
    except DecodeError:
        return False
    fields: dict[str, Any] = message.asdict()
    texts = (fields["queue_name"], fields["actor_name"], fields["message_id"])
    tables = (fields["kwargs"], fields["options"])
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(table, dict) for table in tables):
        return False
    own = fields["options"].get("redis_message_id")
    return isinstance(own, str) and ident in {None, own.encode(errors="replace")}
