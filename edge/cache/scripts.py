"""Lua scripts of the shared tier, and what its keys may hold.

Each script is one atomic step, and none can replace something newer by something older.

Keys of one epoch of a log (see ``keys.namespace``):

``state``     hash: ``at`` revision it is complete up to, ``gen`` generation, ``floor`` revision up to which forgotten
              names count as touched, ``names`` 1 when ``touched`` must exist
``touched``   sorted set: name → revision of its last change; trimmed, oldest first
entry         hash: ``r`` revision it shows at least, ``g`` generation, ``m:<member>`` → ``<version> <bytes>``
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from edge.cache.values import Absent
from partstream.content.v1 import part_pb2
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

# Shared by the scripts that write members: set those with a higher version than the ones held.
_JOIN: Final = """
local function join(entry, next, count)
  for _ = 1, count do
    local field, version, bytes = 'm:' .. ARGV[next], ARGV[next + 1], ARGV[next + 2]
    local held = redis.call('HGET', entry, field)
    if not held or tonumber(string.match(held, '^%d+')) < tonumber(version) then
      redis.call('HSET', entry, field, version .. ' ' .. bytes)
    end
    next = next + 3
  end
  return next
end
"""

# KEYS state, entry...; returns at, generation, then every entry's fields.
READ: Final = """
local state = redis.call('HMGET', KEYS[1], 'at', 'gen')
if not state[1] then return {} end
local found = {state[1], state[2]}
for i = 2, #KEYS do
  found[i + 1] = redis.call('HGETALL', KEYS[i])
end
return found
"""

# The required revision of some names: with the sorted set lost, it is the position itself.
_REQUIRED: Final = """
local function required(state, touched, first, count)
  local floor = tonumber(state[3])
  if state[4] == '1' and redis.call('EXISTS', touched) == 0 then
    floor = tonumber(state[1])
  end
  local most = floor
  for i = first, first + count - 1 do
    local score = redis.call('ZSCORE', touched, ARGV[i])
    if score and tonumber(score) > most then most = tonumber(score) end
  end
  return most
end
"""

# KEYS state, touched, entry; ARGV tags...; returns the same as READ, without the entry when a tag has ended it.
READ_TAGGED: Final = (
    _REQUIRED
    + """
local state = redis.call('HMGET', KEYS[1], 'at', 'gen', 'floor', 'names')
if not state[1] then return {} end
local revision = redis.call('HGET', KEYS[3], 'r')
if not revision or tonumber(revision) < required(state, KEYS[2], 1, #ARGV) then
  return {state[1], state[2], {}}
end
return {state[1], state[2], redis.call('HGETALL', KEYS[3])}
"""
)

# KEYS state, touched, entry; ARGV revision, lifetime ms, number of names, names..., number of members, members.
FILL: Final = (
    _JOIN
    + _REQUIRED
    + """
local state = redis.call('HMGET', KEYS[1], 'at', 'gen', 'floor', 'names')
if not state[1] then return 'unfollowed' end
local revision, names = tonumber(ARGV[1]), tonumber(ARGV[3])
if revision < required(state, KEYS[2], 4, names) then return 'refused' end
local entry = KEYS[3]
local held = redis.call('HMGET', entry, 'g', 'r')
if held[1] and held[1] ~= state[2] then
  redis.call('DEL', entry)
  held[2] = false
end
local count = tonumber(ARGV[4 + names])
if count == 0 then
  if held[2] and tonumber(held[2]) < revision then redis.call('DEL', entry) end
  return 'empty'
end
join(entry, 5 + names, count)
if not held[2] or tonumber(held[2]) < revision then
  redis.call('HSET', entry, 'r', ARGV[1], 'g', state[2])
end
redis.call('PEXPIRE', entry, ARGV[2])
return 'kept'
"""
)

# KEYS state, touched, entry...; ARGV from, to, most names, number of touches, (revision, name)...,
# then for each entry: revision, `join`, `drop` or `all` (every entry; its member is the new generation), number of
# members, members.
APPLY: Final = (
    _JOIN
    + """
local state = redis.call('HMGET', KEYS[1], 'at', 'gen', 'floor')
if not state[1] then return 'unfollowed' end
local at, to = tonumber(state[1]), tonumber(ARGV[2])
if at >= to then return 'known' end
if at < tonumber(ARGV[1]) then return 'gap' end
local next = 5
for _ = 1, tonumber(ARGV[4]) do
  redis.call('ZADD', KEYS[2], 'GT', ARGV[next], ARGV[next + 1])
  next = next + 2
end
local surplus = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if surplus > 0 then
  local last = redis.call('ZRANGE', KEYS[2], surplus - 1, surplus - 1, 'WITHSCORES')
  if tonumber(last[2]) > tonumber(state[3]) then redis.call('HSET', KEYS[1], 'floor', last[2]) end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, surplus - 1)
end
for i = 3, #KEYS do
  local revision, how, count = ARGV[next], ARGV[next + 1], tonumber(ARGV[next + 2])
  next = next + 3
  local held = redis.call('HMGET', KEYS[i], 'g', 'r')
  if how == 'all' then
    state[2] = ARGV[next]
    redis.call('HSET', KEYS[1], 'gen', state[2], 'floor', revision)
  elseif held[1] and held[1] ~= state[2] then
    redis.call('DEL', KEYS[i])
  elseif held[2] and tonumber(held[2]) < tonumber(revision) then
    if how == 'drop' then
      redis.call('DEL', KEYS[i])
    else
      join(KEYS[i], next, count)
      redis.call('HSET', KEYS[i], 'r', revision)
    end
  end
  next = next + 3 * count
end
redis.call('HSET', KEYS[1], 'at', ARGV[2])
if tonumber(ARGV[4]) > 0 then redis.call('HSET', KEYS[1], 'names', '1') end
return 'applied'
"""
)

# KEYS state, touched; ARGV revision, new generation: nothing held until now counts any more.
RESET: Final = """
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'floor', ARGV[1], 'gen', ARGV[2], 'names', '0')
return 'reset'
"""

# KEYS state; ARGV new generation: drop every entry, keep the position. No effect on a log without a position.
RENEW: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unfollowed' end
redis.call('HSET', KEYS[1], 'gen', ARGV[1])
return 'renewed'
"""


_MEMBER: Final = re.compile(rb"\d+ ")


def redis_type(name: str) -> str:
    """Return the type of a key of the shared tier."""
    if "}" not in name:
        return "string"  # the head, which has no epoch
    return "zset" if name.endswith("}:touched") else "hash"


def is_sound_state(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the scripts can compare with the state of a log."""
    # The floor may come from a score, which Redis writes as a float.
    return _is_revision(fields.get(b"at")) and _is_number(fields.get(b"floor", b"0")) and bool(fields.get(b"gen"))


def is_sound_entry(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the scripts can compare with an entry and its members."""
    members = [stored for field, stored in fields.items() if field.startswith(b"m:")]
    return _is_revision(fields.get(b"r")) and b"g" in fields and all(_MEMBER.match(stored) for stored in members)


def names_itself(ident: str, value: Any) -> bool:
    """Return whether a decoded value belongs to the entry it was found in; bytes of another kind may decode as well."""
    if isinstance(value, part_pb2.Part):
        return value.part_id == ident
    if isinstance(value, stock_pb2.PartStock):
        return bool(value.levels) and all(level.part_id == ident for level in value.levels)
    return isinstance(value, Absent) or value is not None


def _is_revision(text: bytes | None) -> bool:
    return text is not None and text.isdigit()


def _is_number(text: bytes) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
