-- name: select_movement
-- Return one movement.
SELECT m.part_id, m.location_id, m.version, m.kind, m.on_hand_delta, m.reserved_delta, m.on_hand_after,
       m.reserved_after, m.actor::text, m.actor_name, m.source, m.client_ip, m.request_id, m.traceparent, m.reason,
       m.occurred_at, m.reservation_id::text, m.reverses_version
FROM stock_movement m WHERE m.part_id = $1 AND m.location_id = $2 AND m.version = $3;

-- name: select_movements_page
-- Return a page of the ledger of a part, newest first. The versions of each level that the times allow are found by
-- binary search, so that a deep page costs what the first one does.
SELECT m.part_id, m.location_id, m.version, m.kind, m.on_hand_delta, m.reserved_delta, m.on_hand_after,
       m.reserved_after, m.actor::text, m.actor_name, m.source, m.client_ip, m.request_id, m.traceparent, m.reason,
       m.occurred_at, m.reservation_id::text, m.reverses_version,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM stock_level s
CROSS JOIN LATERAL (
    SELECT * FROM stock_movement v
    WHERE v.part_id = s.part_id AND v.location_id = s.location_id
      AND v.version <= CASE WHEN $9::timestamptz IS NULL THEN s.version
                            ELSE inventory_version_at(s.part_id, s.location_id, $9) END
      AND ($4::timestamptz IS NULL OR v.occurred_at < $4)
      AND ($3::timestamptz IS NULL OR v.version > inventory_version_at(s.part_id, s.location_id, $3))
      AND ($5::text[] IS NULL OR v.kind = ANY($5))
      AND ($6 = '' OR v.actor_name = $6)
      AND ($7 = '' OR v.request_id = $7)
      AND ($9::timestamptz IS NULL OR (v.occurred_at, v.location_id, v.version) < ($9, $10, $11))
    ORDER BY v.version DESC LIMIT $8
) m
WHERE s.part_id = $1 AND ($2 = '' OR s.location_id = $2)
ORDER BY m.occurred_at DESC, m.location_id DESC, m.version DESC LIMIT $8;

-- name: select_movement_at
-- Return the last movement of a level at or before a timestamp.
SELECT m.part_id, m.location_id, m.version, m.kind, m.on_hand_delta, m.reserved_delta, m.on_hand_after,
       m.reserved_after, m.actor::text, m.actor_name, m.source, m.client_ip, m.request_id, m.traceparent, m.reason,
       m.occurred_at, m.reservation_id::text, m.reverses_version,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM stock_movement m
WHERE m.part_id = $1 AND m.location_id = $2 AND m.version = inventory_version_at($1, $2, $3);
