-- name: count_event
-- Insert a repeated event, or add its number to the row that has the same key ($8).
INSERT INTO security_event
    (kind, user_id, username, session_id, client_ip, request_id, details, aggregate, occurrences, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, clock_timestamp())
ON CONFLICT (aggregate) WHERE aggregate IS NOT NULL
    DO UPDATE SET occurrences = security_event.occurrences + excluded.occurrences, last_at = excluded.last_at;

-- name: expire_events
-- Delete at most $2 events of the days that are older than $1; the function records an event of it.
SELECT expire_security_events($1, $2);
