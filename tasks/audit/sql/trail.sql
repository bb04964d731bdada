-- name: read_position
-- Return the epoch recorded last for a service and the greatest revision stored in it. Both are one index step in each
-- partition.
SELECT latest.epoch, (SELECT max(revision) FROM data_change WHERE service = $1 AND epoch = latest.epoch) AS revision
FROM (SELECT epoch FROM data_change WHERE service = $1 ORDER BY id DESC LIMIT 1) AS latest;

-- name: lock_service
-- Wait until no other transaction writes rows of the service ($1).
SELECT pg_advisory_xact_lock(7302, hashtext($1));

-- name: epoch_is_known
-- Return whether the trail has a row of an epoch ($2) of a service ($1).
SELECT EXISTS(SELECT FROM data_change WHERE service = $1 AND epoch = $2);

-- name: insert_changes
-- Insert many rows; a row that is stored stays as it is. The parameters from $3 on are the columns of `convert.Row`.
INSERT INTO data_change (service, epoch, revision, ordinal, entity, entity_id, part_id, operation, old, new,
    changed_fields, details, actor, actor_id, source, client_ip, request_id, traceparent, reason, occurred_at)
SELECT $1, $2, r.revision, r.ordinal, r.entity, r.entity_id, r.part_id, r.operation, r.old, r.new,
    string_to_array(r.changed_fields, ','), r.details, r.actor, r.actor_id, r.source, r.client_ip, r.request_id,
    r.traceparent, r.reason, r.occurred_at
FROM unnest($3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::jsonb[],
    $11::text[], $12::jsonb[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::text[], $20::timestamptz[])
    AS r (revision, ordinal, entity, entity_id, part_id, operation, old, new, changed_fields, details, actor, actor_id,
         source, client_ip, request_id, traceparent, reason, occurred_at)
ON CONFLICT DO NOTHING;

-- name: insert_gap
-- Insert a row that says that entries are lost, unless the trail is past them; the position moves past them.
INSERT INTO data_change (service, epoch, revision, ordinal, entity, entity_id, operation, old, new, reason, actor,
    source, occurred_at)
SELECT $1, $2, $3, 0, 'change_log', $1, 'gap', $4, $5, $6, 'dispatcher', 'service', $7
WHERE NOT EXISTS (SELECT FROM data_change WHERE service = $1 AND epoch = $2 AND revision >= $3);
