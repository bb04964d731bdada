"""Choose the content coding of a response and compress its body."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Final

import brotli  # type: ignore[import-untyped]
import zstandard

# Order among codings to which the client gives equal weight: zstd costs least for what it saves.
CODINGS: Final = ("zstd", "br", "gzip")
IDENTITY: Final = "identity"
MIN_BYTES: Final = 256  # below it, headers outweigh what compression saves

_ZSTD_LEVEL = 6
_BROTLI_QUALITY = 5
_GZIP_LEVEL = 6


@lru_cache(maxsize=512)
def choose_coding(accept_encoding: str) -> str:
    """Return the coding of the response (RFC 9110, 12.5.3); ``identity`` when none of ``CODINGS`` is acceptable."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        name, _, parameters = item.partition(";")
        weights[name.strip()] = _weight(parameters)
    anything = weights.get("*", 0.0)
    best, best_weight = IDENTITY, 0.0
    for coding in CODINGS:
        weight = weights.get(coding, anything)
        if weight > best_weight:
            best, best_weight = coding, weight
    return best if best_weight >= weights.get(IDENTITY, 0.0) else IDENTITY


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value.strip())
            except ValueError:
                return 0.0
    return 1.0


def compress(raw: bytes, coding: str) -> bytes:
    """Return the body in a coding."""
    match coding:
        case "zstd":
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(raw)
        case "br":
            return bytes(brotli.compress(raw, quality=_BROTLI_QUALITY))
        case "gzip":
            return gzip.compress(raw, compresslevel=_GZIP_LEVEL, mtime=0)
        case _:
            return raw
