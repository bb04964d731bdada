"""Reads: whole parts with pictures, author and path in one query each."""

from __future__ import annotations

# The newest revision of the log in the snapshot of the same statement: what the answer's token says.
HEAD = "coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) AS log_revision"

# A whole part. JSON comes as text: it is decoded once, by our own reader.
PART_COLUMNS = """
    p.part_id, p.category_id, p.title, p.summary, p.description, p.specifications::text AS specifications,
    p.price_minor, p.cost_minor, p.currency, p.price_breaks::text AS price_breaks, p.status, p.mpn, p.manufacturer,
    p.datasheet_url, p.version, p.published_version, p.updated_by, p.created_at, p.updated_at, p.deleted_at,
    u.username, c.path AS category_path,
    (SELECT jsonb_agg(jsonb_build_object('url', i.url, 'alt', i.alt, 'width', i.width, 'height', i.height)
                      ORDER BY i.position)::text
     FROM part_image i WHERE i.part_id = p.part_id) AS images
"""
PART_TABLES = """
    part p JOIN category c ON c.category_id = p.category_id JOIN users u ON u.id = p.updated_by
"""

# Parts by id, deleted ones included, with the log's head.
PARTS_BY_ID = f"SELECT {PART_COLUMNS}, {HEAD} FROM {PART_TABLES} WHERE p.part_id = ANY($1::text[])"  # noqa: S608 - constants

# A category and everything below it that is live; no row when it does not exist.
CATEGORY_SUBTREE = """
WITH RECURSIVE below(category_id) AS (
    SELECT category_id FROM category WHERE category_id = $1 AND deleted_at IS NULL
    UNION
    SELECT child.category_id FROM below JOIN category child ON child.parent_id = below.category_id
    WHERE child.deleted_at IS NULL
)
SELECT category_id FROM below
"""

# Live categories with the published parts in each one itself, and the log's head.
CATEGORIES = f"""
SELECT c.category_id, coalesce(c.parent_id, '') AS parent_id, c.name, c.path, c.position, c.version,
       coalesce(counted.parts, 0) AS part_count, {HEAD}
FROM category c
LEFT JOIN (SELECT category_id, count(*) AS parts FROM part WHERE status = 'published' AND deleted_at IS NULL
           GROUP BY category_id) AS counted USING (category_id)
WHERE c.deleted_at IS NULL
"""  # noqa: S608 - constants

CATEGORY_BY_ID = f"""
SELECT c.category_id, coalesce(c.parent_id, '') AS parent_id, c.name, c.path, c.position, c.version, 0 AS part_count,
       {HEAD}
FROM category c WHERE c.category_id = $1
"""  # noqa: S608 - constants

# Where the log stands in this snapshot.
LOG_POSITION = f"SELECT epoch, {HEAD} FROM change_log_identity"  # noqa: S608 - constants

# Every part in order of id, for the snapshot: what everyone may see, or all.
SNAPSHOT_PUBLIC = f"""
SELECT {PART_COLUMNS} FROM {PART_TABLES}
WHERE p.part_id > $1 AND p.status = 'published' AND p.deleted_at IS NULL ORDER BY p.part_id
"""  # noqa: S608 - constants
SNAPSHOT_ALL = f"SELECT {PART_COLUMNS} FROM {PART_TABLES} WHERE p.part_id > $1 ORDER BY p.part_id"  # noqa: S608 - constants
