"""Cursors and revision tokens: one opaque text for both, with positions in one or more logs.

Layout before base64url: format byte 2; for each log, by name: length and name, epoch (16 bytes), revision (8 bytes, big
endian); a CRC-32 of all that. The checksum detects damaged text; it is no signature: a position beyond the head of the
log is rejected where it is used.
"""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
import zlib
from dataclasses import dataclass
from functools import lru_cache

from chassis.errors import CursorMalformed

_FORMAT = 2
_MAX_LENGTH = 1000
_BIGINT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a log: everything up to and including ``revision`` of ``epoch``."""

    log: str
    epoch: uuid.UUID
    revision: int


def encode(*positions: Position) -> str:
    """Encode one position per log; at least one."""
    body = bytearray([_FORMAT])
    for position in sorted(positions, key=lambda item: item.log):
        name = position.log.encode()
        body += struct.pack(">B", len(name)) + name + position.epoch.bytes + struct.pack(">Q", position.revision)
    body += struct.pack(">I", zlib.crc32(body))
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def decode(text: str) -> dict[str, Position]:
    """Return the positions in a text by log, none for an empty text; raise ``CursorMalformed`` for an invalid one."""
    if not text:
        return {}
    message = "Invalid cursor. Use a cursor exactly as it was returned."
    if len(text) > _MAX_LENGTH:
        raise CursorMalformed(message)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _unpack(raw)
    except (ValueError, struct.error, binascii.Error, IndexError):
        raise CursorMalformed(message) from None


def _unpack(raw: bytes) -> dict[str, Position]:
    body, checksum = raw[:-4], struct.unpack(">I", raw[-4:])[0]
    if body[0] != _FORMAT or zlib.crc32(body) != checksum:
        raise ValueError
    found: dict[str, Position] = {}
    at = 1
    while at < len(body):
        size = body[at]
        name = body[at + 1 : at + 1 + size].decode()
        epoch_at = at + 1 + size
        epoch = uuid.UUID(bytes=body[epoch_at : epoch_at + 16])
        (revision,) = struct.unpack(">Q", body[epoch_at + 16 : epoch_at + 24])
        if not name or name in found or revision > _BIGINT_MAX:
            raise ValueError
        found[name] = Position(name, epoch, revision)
        at = epoch_at + 24
    if not found:
        raise ValueError
    return found


@lru_cache(256)  # many callers decode the cursor of the same message
def position_in(text: str, log: str) -> Position | None:
    """Return the position in one log, or ``None`` when the text has none for it."""
    return decode(text).get(log)


def merge(*texts: str) -> str:
    """Return one text with the later position of each log; of two epochs the last argument wins."""
    merged: dict[str, Position] = {}
    for text in texts:
        for log, position in decode(text).items():
            known = merged.get(log)
            if known is None or known.epoch != position.epoch or known.revision < position.revision:
                merged[log] = position
    return encode(*merged.values()) if merged else ""
