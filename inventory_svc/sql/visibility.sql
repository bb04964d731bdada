-- name: select_published
-- Return those among some parts that are published.
SELECT part_id::text FROM part_visibility WHERE published AND part_id = ANY($1::text[]);

-- name: upsert_visibility
-- Store what is newer: part ids, whether they are published, and the revision of the content log.
INSERT INTO part_visibility AS v (part_id, published, revision)
SELECT * FROM unnest($1::text[], $2::boolean[], $3::bigint[])
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published, revision = excluded.revision
WHERE v.revision < excluded.revision AND v.published <> excluded.published;

-- name: select_visibility_position
-- Return the position up to which the content log is applied.
SELECT epoch, revision FROM part_visibility_position;

-- name: advance_visibility_position
-- Advance that position. An earlier one of the same epoch changes nothing.
INSERT INTO part_visibility_position AS p (epoch, revision) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision
WHERE p.epoch <> excluded.epoch OR p.revision < excluded.revision;

-- name: create_snapshot_table
-- Create the table that receives a snapshot before it replaces the stored rows.
CREATE TEMPORARY TABLE gathered (part_id text COLLATE "C" PRIMARY KEY, published boolean) ON COMMIT DROP;

-- name: insert_snapshot_page
-- Insert a page of the snapshot.
INSERT INTO gathered SELECT * FROM unnest($1::text[], $2::boolean[])
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published;

-- name: delete_unlisted_parts
-- Delete the parts that the snapshot does not have.
DELETE FROM part_visibility AS v WHERE NOT EXISTS (SELECT FROM gathered AS g WHERE g.part_id = v.part_id);

-- name: replace_visibility
-- Store the others as in the snapshot, also over rows of another epoch.
INSERT INTO part_visibility AS v (part_id, published, revision)
SELECT g.part_id, g.published, $1::bigint FROM gathered AS g
ON CONFLICT (part_id) DO UPDATE SET published = excluded.published, revision = excluded.revision;

-- name: reset_visibility_position
-- Set the position to that of the snapshot, which may be an earlier one.
INSERT INTO part_visibility_position AS p (epoch, revision) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision;
