-- Create users, sessions, refresh tokens, sign-in attempts and security events.

CREATE TABLE "user" (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username text NOT NULL CONSTRAINT username_wellformed CHECK (username ~ '^[A-Za-z0-9._@-]{1,64}$'),
    password_hash text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX username_unique ON "user" (lower(username));

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

CREATE TABLE refresh_token (
    token_hash bytea PRIMARY KEY CONSTRAINT refresh_token_is_hashed CHECK (length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_token_by_session ON refresh_token (session_id);

CREATE TABLE login_attempt (
    login_attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL,
    client_ip text NOT NULL,
    succeeded boolean NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_attempt_by_username ON login_attempt (username, attempted_at);
CREATE INDEX login_attempt_by_address ON login_attempt (client_ip, attempted_at);

CREATE TABLE security_event (
    security_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    user_id uuid,
    username text NOT NULL DEFAULT '',
    session_id uuid,
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX security_event_by_time ON security_event (occurred_at);
CREATE INDEX security_event_by_user ON security_event (user_id, occurred_at);

CREATE FUNCTION security_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'security events are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER security_event_rows_stay BEFORE UPDATE OR DELETE ON security_event
    FOR EACH ROW EXECUTE FUNCTION security_event_is_append_only();
CREATE TRIGGER security_event_table_stays BEFORE TRUNCATE ON security_event
    FOR EACH STATEMENT EXECUTE FUNCTION security_event_is_append_only();
