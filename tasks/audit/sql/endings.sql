-- name: insert_ending
-- Record where an epoch ended; the first record of an epoch stays.
INSERT INTO log_ending (service, epoch, revision, continued_after) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: read_ending
-- Return where an epoch ended.
SELECT revision, continued_after FROM log_ending WHERE service = $1 AND epoch = $2;
