-- name: read_revocations
-- Return the revocations after a number that may still concern a token.
SELECT revocation_id, kind, subject, not_before, expires_at FROM revocation
WHERE revocation_id > $1 AND (expires_at IS NULL OR expires_at > now()) ORDER BY revocation_id;

-- name: revoke_key
-- Revoke every token that is signed with a key, permanently.
SELECT revoke_tokens('key', $1, NULL, NULL);
