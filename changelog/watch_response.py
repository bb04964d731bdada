"""Cuts window entries into Watch responses: whole transactions, and fragments of those that are too large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog.wire import varint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from changelog.window import WindowEntry

MAX_MESSAGE_BYTES = 1024 * 1024  # a quarter of gRPC's default limit of 4 MiB

_CURSOR_TAG = b"\x0a"  # field 1, length-delimited
_FRAGMENT = b"\x18\x01"  # field 3, true
_NEWEST_TAG = b"\x20"  # field 4, varint


@dataclass(frozen=True, slots=True)
class Cut:
    """The content of one message: framed changes, the revision reached, whether the transaction continues."""

    changes: bytes
    count: int
    reached: int
    fragment: bool


def cut_message(
    entries: Iterable[WindowEntry],
    after: int,
    *,
    audience: str,
    part_ids: Collection[str],
    hidden: frozenset[str] = frozenset(),
    max_bytes: int = MAX_MESSAGE_BYTES,
) -> Cut:
    """Return the content of one message, up to the end of a transaction where possible.

    ``reached == after`` means that the only transaction is incomplete: wait. Entries that are filtered out, or concern
    hidden parts only, are skipped and included in ``reached``, so that a bookmark covers them.
    """
    chunks: list[bytes] = []
    size = 0
    whole = (0, after)  # chunks and revision at the last end of a transaction
    reached = after
    for entry in entries:
        is_left_out = (part_ids and entry.keys.isdisjoint(part_ids)) or (entry.keys and entry.keys <= hidden)
        framed = b"" if is_left_out else entry.framed_for[audience]
        if size + len(framed) > max_bytes and chunks:
            if whole[1] > after and whole[0]:
                break
            return Cut(b"".join(chunks), len(chunks), reached, fragment=True)
        if framed:
            chunks.append(framed)
            size += len(framed)
        reached = entry.revision
        if entry.ends_transaction:
            whole = (len(chunks), reached)
    count, revision = whole
    return Cut(b"".join(chunks[:count]), count, revision, fragment=False)


def compose(cursor: str, newest: int, cut: Cut | None = None) -> bytes:
    """Return a serialised Watch response; without a cut, a bookmark. ``newest`` is the newest revision known."""
    text = cursor.encode()
    head = _CURSOR_TAG + varint(len(text)) + text
    tail = _NEWEST_TAG + varint(newest) if newest else b""
    if cut is None:
        return head + tail
    return b"".join((head, cut.changes, _FRAGMENT if cut.fragment else b"", tail))
