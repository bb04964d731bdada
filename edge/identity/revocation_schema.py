"""Revocations: written by the database with whatever ends a session or changes what a user may do."""

CHANNEL = "partstream_revocations"

# Numbers rise in the order of commits, because each is drawn under a lock that is held until its commit: a reader that
# asks for what comes after the last number it has misses nothing. The lock is taken at the end of a transaction, when
# that needs no other any more.
#
# Access tokens live for 10 minutes; a revocation is kept for 15, so that clocks need not agree.
#
# A user's tokens count from `tokens_not_before` on, which lies a second ahead when rights change: a sign-in that has
# just read the old rights would otherwise bring a token that looks newer than the change. New tokens are never issued
# earlier than that time, so those with the new rights count at once.
_TABLE = """
ALTER TABLE "user" ADD COLUMN tokens_not_before timestamptz;

CREATE TABLE revocation (
    revocation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CONSTRAINT revocation_kind_known CHECK (kind IN ('session', 'user', 'key')),
    subject text NOT NULL,
    not_before timestamptz,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    CONSTRAINT revocation_of_user_has_time CHECK ((kind = 'user') = (not_before IS NOT NULL))
);
CREATE INDEX revocation_by_expiry ON revocation (expires_at);

CREATE FUNCTION revoke_tokens(kind text, subject text, not_before timestamptz, lifetime interval) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(7304, 1);
    INSERT INTO revocation (kind, subject, not_before, expires_at)
        VALUES (kind, subject, not_before, clock_timestamp() + lifetime);
    SELECT pg_notify('partstream_revocations', '');
$$;
"""

_TRIGGERS = """
CREATE FUNCTION session_is_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM revoke_tokens('session', OLD.session_id::text, NULL, interval '15 minutes');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER session_revocation AFTER UPDATE OF revoked_at, expires_at ON session
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND (NEW.revoked_at IS NOT NULL OR NEW.expires_at < now()))
    EXECUTE FUNCTION session_is_revoked();
CREATE CONSTRAINT TRIGGER session_deletion AFTER DELETE ON session
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.revoked_at IS NULL)
    EXECUTE FUNCTION session_is_revoked();

CREATE FUNCTION user_rights_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tokens_not_before := greatest(NEW.tokens_not_before, clock_timestamp() + interval '1 second');
    RETURN NEW;
END $$;
CREATE TRIGGER user_rights_change BEFORE UPDATE ON "user" FOR EACH ROW
    WHEN (NEW.roles IS DISTINCT FROM OLD.roles OR (NEW.disabled_at IS NOT NULL AND OLD.disabled_at IS NULL))
    EXECUTE FUNCTION user_rights_change();

CREATE FUNCTION user_tokens_are_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM revoke_tokens('user', OLD.user_id::text, clock_timestamp() + interval '1 minute', '15 minutes');
    ELSE
        PERFORM revoke_tokens('user', NEW.user_id::text, NEW.tokens_not_before, interval '15 minutes');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER user_revocation AFTER UPDATE ON "user"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.tokens_not_before IS DISTINCT FROM OLD.tokens_not_before AND NEW.tokens_not_before IS NOT NULL)
    EXECUTE FUNCTION user_tokens_are_revoked();
CREATE CONSTRAINT TRIGGER user_deletion AFTER DELETE ON "user"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION user_tokens_are_revoked();
"""

REVOCATIONS = f"{_TABLE}{_TRIGGERS}"
