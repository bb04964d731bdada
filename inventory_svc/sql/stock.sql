-- name: select_levels_of_parts
-- Return every level of some parts, and the newest revision.
SELECT part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
       last_updated_by::text, last_updated_by_name, archived_at,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM stock_level WHERE part_id = ANY($1::text[]) ORDER BY part_id, location_id;

-- name: select_levels_of_published_parts
-- Return every level of those among some parts that are published.
SELECT part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
       last_updated_by::text, last_updated_by_name, archived_at,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM stock_level AS s
WHERE part_id = ANY($1::text[])
  AND EXISTS (SELECT FROM part_visibility AS v WHERE v.part_id = s.part_id AND v.published)
ORDER BY part_id, location_id;

-- name: select_levels_page
-- Return a page of levels after a key. A NULL parameter, or an empty location, does not filter.
SELECT part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
       last_updated_by::text, last_updated_by_name, archived_at,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM stock_level
WHERE (part_id, location_id) > ($1, $2)
  AND ($3 = '' OR location_id = $3)
  AND ($4::boolean IS NULL OR (on_hand - reserved <= reorder_point) = $4)
  AND ($5::boolean IS NULL OR (on_hand > reserved) = $5)
  AND ($6::boolean OR archived_at IS NULL)
ORDER BY part_id, location_id LIMIT $7;

-- name: select_public_page
-- Return a page of published parts after an id, each summed over its locations.
-- A filter that is NULL does not filter.
SELECT p.*,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM (
    SELECT s.part_id::text, coalesce(sum(s.on_hand - s.reserved) FILTER (WHERE s.archived_at IS NULL), 0)::bigint
           AS available,
           coalesce(sum(s.on_hand - s.reserved - s.reorder_point) FILTER (WHERE s.archived_at IS NULL), 0) <= 0
           AS low_stock,
           sum(s.version)::bigint AS version
    FROM stock_level AS s
    WHERE s.part_id > $1 AND EXISTS (SELECT FROM part_visibility AS v WHERE v.part_id = s.part_id AND v.published)
    GROUP BY s.part_id ORDER BY s.part_id
) AS p
WHERE ($2::boolean IS NULL OR p.low_stock = $2) AND ($3::boolean IS NULL OR (p.available > 0) = $3)
LIMIT $4;

-- name: select_snapshot_page
-- Return a page of a snapshot of all levels.
SELECT part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
       last_updated_by::text, last_updated_by_name, archived_at
FROM stock_level WHERE (part_id, location_id) > ($1, $2) ORDER BY part_id, location_id LIMIT $3;

-- name: select_revision
-- Return the newest revision of the change log.
SELECT (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision;

-- name: select_level_exists
-- Return a row when a part has a level at a location.
SELECT 1 FROM stock_level WHERE part_id = $1 AND location_id = $2;

-- name: select_entity_ids_of_parts
-- Return the ids under which the change log has the levels of some parts. Levels are never deleted.
SELECT part_id || '/' || location_id FROM stock_level WHERE part_id = ANY($1::text[]);

-- name: select_locations
-- Return every location.
SELECT location_id, name, archived_at,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM location ORDER BY location_id;
