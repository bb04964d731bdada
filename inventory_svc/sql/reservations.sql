-- name: select_reservation
-- Return a reservation, one row per line, in order.
SELECT r.reservation_id::text, r.state, r.owner, r.owner_is_user, r.order_reference, r.created_at,
       r.expires_at, r.opened_from, r.extensions, l.part_id, l.location_id, l.quantity,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM reservation r JOIN reservation_line l USING (reservation_id)
WHERE r.reservation_id = $1 ORDER BY l.position;

-- name: select_reservations_page
-- Return a page of the reservations of some owners (an account and a cart), newest first; lines in order.
SELECT r.reservation_id::text, r.state, r.owner, r.owner_is_user, r.order_reference, r.created_at,
       r.expires_at, r.opened_from, r.extensions, l.part_id, l.location_id, l.quantity,
       (SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision
FROM (SELECT f.* FROM unnest($1::text[]) AS o (owner)
      CROSS JOIN LATERAL (
          SELECT * FROM reservation v
          WHERE v.owner = o.owner AND ($2 = '' OR v.state = $2)
            AND ($3::timestamptz IS NULL OR (v.created_at, v.reservation_id) < ($3, $4::uuid))
          ORDER BY v.created_at DESC, v.reservation_id DESC LIMIT $5) f
      ORDER BY f.created_at DESC, f.reservation_id DESC LIMIT $5) r
JOIN reservation_line l USING (reservation_id)
ORDER BY r.created_at DESC, r.reservation_id DESC, l.position;

-- name: select_held_by_cart
-- Return the held reservations of a guest's cart.
SELECT reservation_id::text FROM reservation WHERE owner = $1 AND state = 'held' AND NOT owner_is_user;

-- name: select_next_expiry
-- Return when the next held reservation expires, NULL when none is held, and the time of the database.
SELECT min(expires_at) AS next_at, clock_timestamp() AS now_at FROM reservation WHERE state = 'held';
