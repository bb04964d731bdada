"""Quarantine of Redis keys with foreign content: they are renamed, and the copies expire.

Redis holds no facts: a key of another type, or with unreadable content, can be lost, but must not fail every call. The
last copy of each key is stored for a day, as evidence of its writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    OnQuarantine = Callable[[str, str], None]

LIFETIME_SECONDS: Final = 24 * 3600
ANY_TYPE: Final = ""  # move a key of any type: its content is unreadable

# KEYS keys; ARGV lifetime in ms, then the required type of each key. Returns key and type of each one moved.
# The new name has the same hash tag, and so the same slot of a cluster.
MOVE_ASIDE: Final = """
local moved = {}
for i, key in ipairs(KEYS) do
  local held = redis.call('TYPE', key).ok
  if held ~= 'none' and held ~= ARGV[i + 1] then
    local aside = 'quarantine:{' .. key .. '}'
    if string.find(key, '{', 1, true) then aside = 'quarantine:' .. key end
    redis.call('RENAME', key, aside)
    redis.call('PEXPIRE', aside, ARGV[1])
    table.insert(moved, key)
    table.insert(moved, held)
  end
end
return moved
"""


def arguments(expected: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """Return keys and arguments of ``MOVE_ASIDE`` for keys and the type of each."""
    return list(expected), [LIFETIME_SECONDS * 1000, *expected.values()]


def moved(found: Sequence[bytes]) -> dict[str, str]:
    """Return the moved keys and their types, from the result of ``MOVE_ASIDE``."""
    texts = [text.decode(errors="replace") for text in found]
    return dict(zip(texts[::2], texts[1::2], strict=True))
