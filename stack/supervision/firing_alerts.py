"""Alerts that are firing, read from the edge's database for ``status``."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

CONNECT_SECONDS = 2
# Those that matter most first; a condition that several processes report is one.
FIRING = b"""
SELECT name, subject, severity, min(fired_at) AS fired_at FROM alert WHERE state = 'firing'
GROUP BY name, subject, severity ORDER BY severity, min(fired_at) LIMIT 100
"""


def firing(databases: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return name, subject, severity and time of each; none while they cannot be read."""
    dsn = databases.get("edge")
    if dsn is None:
        return []
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, row_factory=dict_row) as connection:
            rows = connection.execute(FIRING).fetchall()
    except psycopg.Error:
        return []
    return [{**row, "fired_at": row["fired_at"].isoformat()} for row in rows]
