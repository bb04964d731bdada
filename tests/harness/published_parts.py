"""Parts that the public may see, in tests that run without a content service."""

from __future__ import annotations

import psycopg

_KEEP = """
INSERT INTO part_visibility (part_id, published, revision) VALUES (%(part_id)s, %(published)s, 1)
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published, revision = part_visibility.revision + 1
"""


def publish(inventory_dsn: str, *part_ids: str, published: bool = True) -> None:
    """Say in an inventory database that parts are published, or no longer."""
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        for part_id in part_ids:
            connection.execute(_KEEP, {"part_id": part_id, "published": published})
