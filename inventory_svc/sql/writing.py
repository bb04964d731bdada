"""Statements of the writer's transaction. The functions behind some are in ``migrations/schema.sql``."""

from changelog.handoff import handing_off

# Claim, lock and read; see ``inventory_open``.
OPEN = "SELECT * FROM inventory_open($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"

# Write reservations; see ``inventory_write_holds``.
WRITE_HOLDS = "SELECT inventory_write_holds({})".format(", ".join(f"${number}" for number in range(1, 32)))

# Write levels and ledger, seal, keep the answers; see ``inventory_write``.
WRITE = handing_off("inventory_write({})".format(", ".join(f"${number}" for number in range(1, 34))), 34)

# Read one level and its location without a lock, and whether a hold on the part is overdue.
READ_ONE = """
SELECT clock_timestamp() AS now_at, p.name AS location_name, p.archived_at AS location_archived_at,
       EXISTS (SELECT 1 FROM reservation r JOIN reservation_line l ON l.reservation_id = r.reservation_id
               WHERE r.state = 'held' AND r.expires_at <= clock_timestamp() AND l.part_id = $1)
       AS has_overdue,
       s.on_hand::bigint, s.reserved, s.reorder_point::bigint, s.version::bigint, s.updated_at, s.last_updated_by,
       s.last_updated_by_name, s.archived_at
FROM stock_level s JOIN location p ON p.location_id = s.location_id
WHERE s.part_id = $1 AND s.location_id = $2
"""

# Write one change of one level, NULL when it is decided under locks; see ``inventory_write_one_if``.
WRITE_ONE = handing_off("inventory_write_one_if({})".format(", ".join(f"${number}" for number in range(1, 18))), 18)

# Make sure that the people who write are known, under the name they have now.
UPSERT_USERS = """
INSERT INTO users (id, username) SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (id) DO UPDATE SET username = excluded.username WHERE users.username <> excluded.username
"""

# Add a location.
INSERT_LOCATION = """
INSERT INTO location (location_id, name, updated_at, last_updated_by, last_updated_by_name, client_ip, request_id,
                      traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

# Archive a location.
UPDATE_LOCATION = """
UPDATE location SET archived_at = $2, updated_at = $3, last_updated_by = $4, last_updated_by_name = $5, client_ip = $6,
                    request_id = $7, traceparent = $8
WHERE location_id = $1
"""

# When the next hold ends; NULL when nothing is held.
NEXT_EXPIRY = "SELECT min(expires_at) AS next_at, clock_timestamp() AS now_at FROM reservation WHERE state = 'held'"

# Levels among some that nobody else has locked.
UNLOCKED_LEVELS = """
SELECT v.part_id::text, v.location_id::text
FROM unnest($1::text[], $2::text[]) AS k (part_id, location_id)
JOIN stock_level v ON v.part_id = k.part_id AND v.location_id = k.location_id
FOR NO KEY UPDATE OF v SKIP LOCKED
"""

# Levels among some that there are.
EXISTING_LEVELS = """
SELECT v.part_id::text, v.location_id::text
FROM unnest($1::text[], $2::text[]) AS k (part_id, location_id)
JOIN stock_level v ON v.part_id = k.part_id AND v.location_id = k.location_id
"""
