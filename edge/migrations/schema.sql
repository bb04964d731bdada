-- The current schema of the edge's database, for reading and for tests. Migrations create it: docs/migrations.md.

-- ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return whether a list has no element twice.
CREATE FUNCTION is_set(elements text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(elements) = (SELECT count(DISTINCT element) FROM unnest(elements) AS element)
$$;

-- Accounts. Tokens issued before `tokens_not_before` are invalid. A change of rights sets it one second ahead, so that
-- a concurrent sign-in with the old rights cannot issue a token that looks newer than the change; new tokens are never
-- issued earlier than that time.
CREATE TABLE "user" (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username text NOT NULL CONSTRAINT username_wellformed CHECK (username ~ '^[A-Za-z0-9._@-]{1,64}$'),
    password_hash text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    tokens_not_before timestamptz,
    CONSTRAINT roles_are_a_set CHECK (is_set(roles))
);

-- Processes of release 0.2.0 insert with ON CONFLICT on the first index. User names are ASCII; the second one compares
-- them without the rules of a language.
CREATE UNIQUE INDEX username_unique ON "user" (lower(username));
CREATE UNIQUE INDEX username_folded_unique ON "user" (lower(username COLLATE "C"));

CREATE TABLE session (
    session_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
    client_ip text NOT NULL DEFAULT '',
    user_agent text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_for text NOT NULL DEFAULT '',
    CONSTRAINT session_ends_after_it_begins CHECK (expires_at > created_at)
);

CREATE INDEX session_live_by_user ON session (user_id, created_at) WHERE revoked_at IS NULL;

-- Refresh tokens, by hash only. A used token that is presented again ends its session.
CREATE TABLE refresh_token (
    token_hash bytea PRIMARY KEY CONSTRAINT refresh_token_is_hashed CHECK (length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE INDEX refresh_token_by_session ON refresh_token (session_id);

-- Attempts to sign in and to register, for the lockout.
CREATE TABLE login_attempt (
    login_attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL,
    client_ip text NOT NULL,
    succeeded boolean NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    purpose text NOT NULL DEFAULT 'sign_in' CONSTRAINT purpose_known CHECK (purpose IN ('sign_in', 'registration'))
);

-- NOT VALID: rows from before the rule may be longer.
ALTER TABLE login_attempt ADD CONSTRAINT login_attempt_texts_are_short CHECK (
    length(username) <= 64 AND length(client_ip) <= 64
) NOT VALID;

CREATE INDEX login_attempt_by_username ON login_attempt (username, attempted_at);
CREATE INDEX login_attempt_by_address ON login_attempt (client_ip, attempted_at);
CREATE INDEX login_attempt_by_pair ON login_attempt (purpose, username, client_ip, attempted_at);

-- Security events. Equal events of one minute share a row: `aggregate` identifies it and `occurrences` counts them.
CREATE TABLE security_event (
    security_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    user_id uuid,
    username text NOT NULL DEFAULT '',
    session_id uuid,
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    details jsonb NOT NULL DEFAULT '{}',
    occurrences bigint NOT NULL DEFAULT 1 CONSTRAINT security_event_happened CHECK (occurrences >= 1),
    last_at timestamptz,
    aggregate text
);

-- NOT VALID: rows from before the rule may be longer.
ALTER TABLE security_event ADD CONSTRAINT security_event_texts_are_short CHECK (
    length(kind) <= 64 AND length(username) <= 64 AND length(client_ip) <= 64 AND length(request_id) <= 100
    AND length(aggregate) <= 64 AND length(details::text) <= 8000
) NOT VALID;

CREATE INDEX security_event_by_time ON security_event (occurred_at);
CREATE INDEX security_event_by_user ON security_event (user_id, occurred_at);
CREATE UNIQUE INDEX security_event_by_aggregate ON security_event (aggregate) WHERE aggregate IS NOT NULL;

-- Revocations of sessions, users and keys. Access tokens live for 10 minutes; a revocation stays for 15, so that clocks
-- may differ.
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

-- Alerts. A reporter is one run of a process: it renews the alerts that it fires, so that they end with it.
CREATE TABLE alert (
    alert_id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT alert_name_wellformed CHECK (name ~ '^[a-z0-9_]{1,64}$'),
    subject text NOT NULL CONSTRAINT alert_subject_bounded CHECK (length(subject) <= 200),
    reporter text NOT NULL CONSTRAINT alert_reporter_bounded CHECK (length(reporter) <= 200),
    state text NOT NULL CONSTRAINT alert_state_known CHECK (state IN ('firing', 'resolved')),
    severity text NOT NULL CONSTRAINT alert_severity_known CHECK (severity IN ('critical', 'warning')),
    detail text NOT NULL CONSTRAINT alert_detail_bounded CHECK (length(detail) <= 1000),
    fired_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text NOT NULL DEFAULT '',
    CONSTRAINT alert_resolved_has_time CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);

CREATE UNIQUE INDEX alert_firing_once ON alert (name, subject, reporter) WHERE state = 'firing';
CREATE INDEX alert_by_time ON alert (fired_at, alert_id);
CREATE INDEX alert_firing_by_lease ON alert (last_seen_at) WHERE state = 'firing';

-- ── Accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Reject a change that leaves no enabled administrator. The lock lets the second of two concurrent changes read the
-- first.
CREATE FUNCTION an_administrator_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 20);
    IF NOT EXISTS (SELECT FROM "user" WHERE 'admin' = ANY (roles) AND disabled_at IS NULL) THEN
        RAISE EXCEPTION 'the last enabled administrator stays'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'an_administrator_stays';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER an_administrator_stays_enabled AFTER UPDATE ON "user" FOR EACH ROW
    WHEN ('admin' = ANY(OLD.roles) AND OLD.disabled_at IS NULL
        AND NOT ('admin' = ANY(NEW.roles) AND NEW.disabled_at IS NULL))
    EXECUTE FUNCTION an_administrator_stays();
CREATE TRIGGER an_administrator_stays_stored AFTER DELETE ON "user" FOR EACH ROW
    WHEN ('admin' = ANY(OLD.roles) AND OLD.disabled_at IS NULL)
    EXECUTE FUNCTION an_administrator_stays();

-- ── Security events ─────────────────────────────────────────────────────────────────────────────────────────────────

-- Reject changes of security events, except a count that rises and rows that `expire_security_events` deletes, which a
-- setting with the id of its transaction identifies.
CREATE FUNCTION security_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.aggregate IS NOT NULL AND NEW.occurrences > OLD.occurrences
        AND to_jsonb(NEW) - '{occurrences,last_at}'::text[] = to_jsonb(OLD) - '{occurrences,last_at}'::text[] THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND current_setting('partstream.expiring', true) = pg_current_xact_id()::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'security events are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER security_event_rows_stay BEFORE UPDATE OR DELETE ON security_event
    FOR EACH ROW EXECUTE FUNCTION security_event_is_append_only();
CREATE TRIGGER security_event_table_stays BEFORE TRUNCATE ON security_event
    FOR EACH STATEMENT EXECUTE FUNCTION security_event_is_append_only();

-- Delete security events older than `keep_for`, whole days and at most `most` rows; record the deletion as an event,
-- and return how many were deleted.
CREATE FUNCTION expire_security_events(keep_for interval, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone record;
BEGIN
    IF keep_for < interval '1 day' THEN
        RAISE EXCEPTION 'security events are kept for a day at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT pg_try_advisory_xact_lock(7304, 2) THEN
        RETURN 0;
    END IF;
    PERFORM set_config('partstream.expiring', pg_current_xact_id()::text, true);
    WITH expired AS (
        DELETE FROM security_event WHERE security_event_id IN (
            SELECT e.security_event_id FROM security_event AS e
            WHERE e.occurred_at < date_trunc('day', clock_timestamp() - keep_for) ORDER BY e.occurred_at LIMIT most
        ) RETURNING occurred_at
    )
    SELECT count(*) AS rows, min(occurred_at) AS oldest, max(occurred_at) AS newest INTO gone FROM expired;
    PERFORM set_config('partstream.expiring', '', true);
    IF gone.rows > 0 THEN
        INSERT INTO security_event (kind, username, details) VALUES ('security_events_expired', left(session_user, 64),
            jsonb_build_object('rows', gone.rows::text, 'oldest', gone.oldest::text, 'newest', gone.newest::text));
    END IF;
    RETURN gone.rows;
END $$;

-- ── Revocations ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Record a revocation and notify the edges. Ids rise in commit order, because the lock is held until the commit: a
-- reader that asks for ids after its last one misses nothing. Deferred triggers call it, when the transaction needs no
-- other lock any more.
CREATE FUNCTION revoke_tokens(kind text, subject text, not_before timestamptz, lifetime interval) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(7304, 1);
    INSERT INTO revocation (kind, subject, not_before, expires_at)
        VALUES (kind, subject, not_before, clock_timestamp() + lifetime);
    SELECT pg_notify('partstream_revocations', '');
$$;

-- Revoke a session that ends.
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

-- Invalidate older tokens of a user whose rights change.
CREATE FUNCTION user_rights_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tokens_not_before := greatest(NEW.tokens_not_before, clock_timestamp() + interval '1 second');
    RETURN NEW;
END $$;

CREATE TRIGGER user_rights_change BEFORE UPDATE ON "user" FOR EACH ROW
    WHEN (NEW.roles IS DISTINCT FROM OLD.roles OR (NEW.disabled_at IS NOT NULL AND OLD.disabled_at IS NULL))
    EXECUTE FUNCTION user_rights_change();

-- Revoke the tokens of a user whose rights change or whose account is deleted.
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
