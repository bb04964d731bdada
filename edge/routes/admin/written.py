"""What a write touched, for ``cache_invalidate``."""

from __future__ import annotations


def written_part(*, part_id: str, **_: object) -> str:
    """The part in the address of the request."""
    return part_id
