-- name: revoke_surplus_sessions
-- Revoke the sessions of a user ($1) beyond the limit ($2): those that expire first, but never the new session ($3).
UPDATE session SET revoked_at = now(), revoked_for = 'too many sessions'
WHERE session_id IN (
    SELECT session_id FROM session WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
    ORDER BY session_id = $3 DESC, expires_at DESC, session_id OFFSET $2
);

-- name: insert_session
-- Insert a session with the hash of its first refresh token ($5), which expires after $6 without use; a null
-- hash stores none. One statement, because each sign-in waits for it.
WITH new AS (
    INSERT INTO session (user_id, client_ip, user_agent, expires_at) VALUES ($1, $2, $3, now() + $4) RETURNING *
), token AS (
    INSERT INTO refresh_token (token_hash, session_id, expires_at)
    SELECT $5, session_id, least(now() + $6, expires_at) FROM new WHERE $5::bytea IS NOT NULL
)
SELECT * FROM new;

-- name: issue_refresh_token
-- Store the hash of a refresh token ($1) of a session ($2); it expires after $3 without use, or with the session.
INSERT INTO refresh_token (token_hash, session_id, expires_at)
SELECT $1, session_id, least(now() + $3, expires_at) FROM session WHERE session_id = $2;

-- name: use_refresh_token
-- Use a refresh token. Of several calls that bring the same token, one gets the row.
UPDATE refresh_token SET used_at = now() WHERE token_hash = $1 AND used_at IS NULL
RETURNING session_id, expires_at > now() AS is_valid;

-- name: touch_session
-- Note the use of a session; return it with whether it is revoked and whether its user is enabled.
UPDATE session SET last_seen_at = now() FROM "user"
WHERE session_id = $1 AND "user".user_id = session.user_id
RETURNING session.*, session.revoked_at IS NOT NULL AS is_revoked, "user".disabled_at IS NULL AS user_enabled;

-- name: use_browser_session
-- Return a valid session with its user, and note its use at most once a minute; $2 is the longest time without use.
WITH live AS (
    SELECT session_id, user_id, username, roles, last_seen_at, session.expires_at, tokens_not_before
    FROM session JOIN "user" USING (user_id)
    WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > now() AND last_seen_at > now() - $2::interval
        AND disabled_at IS NULL
), touched AS (
    UPDATE session SET last_seen_at = now() FROM live
    WHERE session.session_id = live.session_id AND live.last_seen_at < now() - interval '1 minute'
)
SELECT user_id, username, roles, expires_at, tokens_not_before, clock_timestamp() AS read_at FROM live;
