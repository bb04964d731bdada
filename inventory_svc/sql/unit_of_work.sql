-- name: open_unit_of_work
-- Claim request ids, then lock and read all that the commands need, in one round trip.
SELECT * FROM inventory_open(
    principals => $1, request_ids => $2, body_hashes => $3, level_parts => $4, level_locations => $5,
    whole_parts => $6, reservation_ids => $7, location_ids => $8, all_overdue => $9, guests => $10, counted_parts => $11
);

-- name: read_level_for_write
-- Read a level and its location without locks, and whether a reservation of the part is overdue.
SELECT clock_timestamp() AS now_at, p.name AS location_name, p.archived_at AS location_archived_at,
       EXISTS(SELECT 1 FROM reservation r JOIN reservation_line l ON l.reservation_id = r.reservation_id
               WHERE r.state = 'held' AND r.expires_at <= clock_timestamp() AND l.part_id = $1)
       AS has_overdue,
       s.on_hand::bigint, s.reserved, s.reorder_point::bigint, s.version::bigint, s.updated_at, s.last_updated_by,
       s.last_updated_by_name, s.archived_at
FROM stock_level s JOIN location p ON p.location_id = s.location_id
WHERE s.part_id = $1 AND s.location_id = $2;

-- name: upsert_users
-- Store the current names of the users who write.
INSERT INTO users (id, username) SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (id) DO UPDATE SET username = excluded.username WHERE users.username <> excluded.username;

-- name: insert_location
-- Add a location.
INSERT INTO location (location_id, name, updated_at, last_updated_by, last_updated_by_name, client_ip, request_id,
                      traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: archive_location
-- Archive a location.
UPDATE location SET archived_at = $2, updated_at = $3, last_updated_by = $4, last_updated_by_name = $5, client_ip = $6,
                    request_id = $7, traceparent = $8
WHERE location_id = $1;

-- name: select_unlocked_levels
-- Return those among some levels that no other transaction has locked.
SELECT v.part_id::text, v.location_id::text
FROM unnest($1::text[], $2::text[]) AS k (part_id, location_id)
JOIN stock_level v ON v.part_id = k.part_id AND v.location_id = k.location_id
FOR NO KEY UPDATE OF v SKIP LOCKED;

-- name: select_existing_levels
-- Return those among some levels that exist.
SELECT v.part_id::text, v.location_id::text
FROM unnest($1::text[], $2::text[]) AS k (part_id, location_id)
JOIN stock_level v ON v.part_id = k.part_id AND v.location_id = k.location_id;
