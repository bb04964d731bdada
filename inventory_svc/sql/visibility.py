"""Statements about which parts are published."""

# Those among some parts that are published.
PUBLISHED = "SELECT part_id::text FROM part_visibility WHERE published AND part_id = ANY ($1::text[])"

# Keep what is newer: part ids, whether they are published, and the revision of the content log that says so.
KEEP = """
INSERT INTO part_visibility AS v (part_id, published, revision)
SELECT * FROM unnest($1::text[], $2::boolean[], $3::bigint[])
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published, revision = excluded.revision
WHERE v.revision < excluded.revision AND v.published <> excluded.published
"""

# Up to where the content log is applied.
POSITION = "SELECT epoch, revision FROM part_visibility_position"

# The log is applied up to here. An earlier position of the same history is no news.
ADVANCE = """
INSERT INTO part_visibility_position AS p (epoch, revision) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision
WHERE p.epoch <> excluded.epoch OR p.revision < excluded.revision
"""

# A snapshot is gathered here before it replaces what is known.
GATHER = 'CREATE TEMPORARY TABLE gathered (part_id text COLLATE "C" PRIMARY KEY, published boolean) ON COMMIT DROP'

# A page of the snapshot.
GATHER_PAGE = """
INSERT INTO gathered SELECT * FROM unnest($1::text[], $2::boolean[])
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published
"""

# Parts that the snapshot does not have are unknown.
DROP_UNGATHERED = """
DELETE FROM part_visibility AS v WHERE NOT EXISTS (SELECT FROM gathered AS g WHERE g.part_id = v.part_id)
"""

# The others are as the snapshot says, whatever history the rows are of.
REPLACE = """
INSERT INTO part_visibility AS v (part_id, published, revision)
SELECT g.part_id, g.published, $1::bigint FROM gathered AS g
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published, revision = excluded.revision
"""

# The position is that of the snapshot, though it may be an earlier one.
RESTART = """
INSERT INTO part_visibility_position AS p (epoch, revision) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision
"""
