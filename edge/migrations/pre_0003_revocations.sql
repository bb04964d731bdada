-- Record a revocation with every change that ends a session or reduces what a user may do.

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
