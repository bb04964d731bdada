"""Statements of reads. Each sees one snapshot: the rows and the revision they are as of."""

# ruff: noqa: S608 - the statements are composed of the constants of this file only

_LEVEL_COLUMNS = """part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
       last_updated_by::text, last_updated_by_name, archived_at"""

_MOVEMENT_COLUMNS = """m.part_id, m.location_id, m.version, m.kind, m.on_hand_delta, m.reserved_delta, m.on_hand_after,
       m.reserved_after, m.actor::text, m.actor_name, m.source, m.client_ip, m.request_id, m.traceparent, m.reason,
       m.occurred_at, m.reservation_id::text, m.reverses_version"""

# The newest revision, as of the statement's snapshot.
_REVISION = "(SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1) AS revision"

# Every level of some parts.
LEVELS_OF_PARTS = f"""
SELECT {_LEVEL_COLUMNS}, {_REVISION}
FROM stock_level WHERE part_id = ANY ($1::text[]) ORDER BY part_id, location_id
"""

# Every level of those among some parts that are published.
LEVELS_OF_PUBLISHED_PARTS = f"""
SELECT {_LEVEL_COLUMNS}, {_REVISION}
FROM stock_level AS s
WHERE part_id = ANY ($1::text[])
  AND EXISTS (SELECT FROM part_visibility AS v WHERE v.part_id = s.part_id AND v.published)
ORDER BY part_id, location_id
"""

# A page of published parts after an id, each summed over its locations. Filters that are NULL do not filter.
PUBLIC_PAGE = f"""
SELECT p.*, {_REVISION}
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
LIMIT $4
"""

# A page of levels after a key. Parameters that are NULL, or empty for the location, do not filter.
LEVELS_PAGE = f"""
SELECT {_LEVEL_COLUMNS}, {_REVISION}
FROM stock_level
WHERE (part_id, location_id) > ($1, $2)
  AND ($3 = '' OR location_id = $3)
  AND ($4::boolean IS NULL OR (on_hand - reserved <= reorder_point) = $4)
  AND ($5::boolean IS NULL OR (on_hand > reserved) = $5)
  AND ($6::boolean OR archived_at IS NULL)
ORDER BY part_id, location_id LIMIT $7
"""

# A page of the snapshot.
SNAPSHOT_PAGE = f"""
SELECT {_LEVEL_COLUMNS}
FROM stock_level WHERE (part_id, location_id) > ($1, $2) ORDER BY part_id, location_id LIMIT $3
"""

# The newest revision alone.
REVISION = f"SELECT {_REVISION}"

# One movement.
MOVEMENT = f"""
SELECT {_MOVEMENT_COLUMNS}
FROM stock_movement m WHERE m.part_id = $1 AND m.location_id = $2 AND m.version = $3
"""

# A page of the ledger of a part, newest first. For each level the versions that the times allow are found by binary
# search, so that a deep page costs what the first one does.
MOVEMENTS_PAGE = f"""
SELECT {_MOVEMENT_COLUMNS}, {_REVISION}
FROM stock_level s
CROSS JOIN LATERAL (
    SELECT * FROM stock_movement v
    WHERE v.part_id = s.part_id AND v.location_id = s.location_id
      AND v.version <= CASE WHEN $9::timestamptz IS NULL THEN s.version
                            ELSE inventory_version_at(s.part_id, s.location_id, $9) END
      AND ($4::timestamptz IS NULL OR v.occurred_at < $4)
      AND ($3::timestamptz IS NULL OR v.version > inventory_version_at(s.part_id, s.location_id, $3))
      AND ($5::text[] IS NULL OR v.kind = ANY ($5))
      AND ($6 = '' OR v.actor_name = $6)
      AND ($7 = '' OR v.request_id = $7)
      AND ($9::timestamptz IS NULL OR (v.occurred_at, v.location_id, v.version) < ($9, $10, $11))
    ORDER BY v.version DESC LIMIT $8
) m
WHERE s.part_id = $1 AND ($2 = '' OR s.location_id = $2)
ORDER BY m.occurred_at DESC, m.location_id DESC, m.version DESC LIMIT $8
"""

# The last movement of a level at or before a moment.
MOVEMENT_AT = f"""
SELECT {_MOVEMENT_COLUMNS}, {_REVISION}
FROM stock_movement m
WHERE m.part_id = $1 AND m.location_id = $2 AND m.version = inventory_version_at($1, $2, $3)
"""

# Whether a part has a level at a location.
LEVEL_EXISTS = "SELECT 1 FROM stock_level WHERE part_id = $1 AND location_id = $2"

# Under which ids the log has the levels of some parts. Levels are never deleted.
ENTITY_IDS_OF_PARTS = "SELECT part_id || '/' || location_id FROM stock_level WHERE part_id = ANY ($1::text[])"

_RESERVATION_COLUMNS = """r.reservation_id::text, r.state, r.owner, r.owner_is_user, r.order_reference, r.created_at,
       r.expires_at, r.opened_from, r.extensions"""

# A reservation with its lines in order.
RESERVATION = f"""
SELECT {_RESERVATION_COLUMNS}, l.part_id, l.location_id, l.quantity, {_REVISION}
FROM reservation r JOIN reservation_line l USING (reservation_id)
WHERE r.reservation_id = $1 ORDER BY l.position
"""

# A page of the reservations of two owners (an account and a cart), newest first; lines in order.
RESERVATIONS_PAGE = f"""
SELECT {_RESERVATION_COLUMNS}, l.part_id, l.location_id, l.quantity, {_REVISION}
FROM (SELECT f.* FROM unnest($1::text[]) AS o (owner)
      CROSS JOIN LATERAL (
          SELECT * FROM reservation v
          WHERE v.owner = o.owner AND ($2 = '' OR v.state = $2)
            AND ($3::timestamptz IS NULL OR (v.created_at, v.reservation_id) < ($3, $4::uuid))
          ORDER BY v.created_at DESC, v.reservation_id DESC LIMIT $5) f
      ORDER BY f.created_at DESC, f.reservation_id DESC LIMIT $5) r
JOIN reservation_line l USING (reservation_id)
ORDER BY r.created_at DESC, r.reservation_id DESC, l.position
"""

# The held reservations of a guest's cart.
HELD_BY_CART = """
SELECT reservation_id::text FROM reservation WHERE owner = $1 AND state = 'held' AND NOT owner_is_user
"""

# Every location.
LOCATIONS = f"SELECT location_id, name, archived_at, {_REVISION} FROM location ORDER BY location_id"
