-- name: lock_attempts
-- Serialise the attempts of one purpose, account and address over all edges until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2 || ' ' || $3, 0));

-- name: read_failures
-- Count the failures of a purpose, account and address in the last hour since its last success; return the age of the
-- newest in seconds.
SELECT count(*) AS failures, extract(epoch FROM clock_timestamp() - max(attempted_at))::float8 AS age
FROM login_attempt
WHERE purpose = $1 AND username = $2 AND client_ip = $3 AND NOT succeeded AND attempted_at > greatest(
    clock_timestamp() - interval '1 hour',
    (SELECT max(attempted_at) FROM login_attempt
     WHERE purpose = $1 AND username = $2 AND client_ip = $3 AND succeeded)
);

-- name: count_failures_everywhere
-- Count the failures of an account ($1) over all addresses in the last hour, at most $2.
SELECT count(*) FROM (
    SELECT FROM login_attempt
    WHERE purpose = 'sign_in' AND username = $1 AND NOT succeeded AND attempted_at > now() - interval '1 hour' LIMIT $2
) AS failures;

-- name: insert_attempt
-- Insert an attempt, which counts as failed until it has succeeded.
INSERT INTO login_attempt (purpose, username, client_ip, succeeded, attempted_at)
VALUES ($1, $2, $3, false, clock_timestamp()) RETURNING login_attempt_id;
