-- name: claim_request
-- Claim a request id. No row: a committed transaction has claimed it before; one that has not ended is waited for.
INSERT INTO request (principal, request_id, body_hash) VALUES ($1, $2, $3)
ON CONFLICT (principal, request_id) DO NOTHING
RETURNING request_id;

-- name: select_request
-- The stored response of a claimed request id, and the newest revision.
SELECT body_hash, response, (SELECT max(revision) FROM change_log) AS log_revision
FROM request WHERE principal = $1 AND request_id = $2;

-- name: store_response
-- Store the response of a claimed request id.
UPDATE request SET response = $3 WHERE principal = $1 AND request_id = $2;

-- name: record_user
-- Record the caller. The transaction also stops sequential scans: its statements find rows by key, but a session keeps
-- the plans of foreign keys, and one made while a table was small would scan it whole when it is large.
WITH planner AS MATERIALIZED (SELECT set_config('enable_seqscan', 'off', true))
INSERT INTO users (id, username) SELECT $1::uuid, $2::text FROM planner
ON CONFLICT (id) DO UPDATE SET username = excluded.username WHERE users.username <> excluded.username;

-- name: select_revision
-- The newest revision; null in an empty log.
SELECT max(revision) FROM change_log;
