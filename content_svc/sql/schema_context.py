"""Who writes, as the database sees it: the service says so in transaction settings, everyone else is their role."""

# The writer's user id. A database role becomes a user the first time it writes.
_ACTOR = """
CREATE FUNCTION written_by_service() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('partstream.source', true), '') = 'service'
        AND coalesce(current_setting('partstream.actor', true), '') <> ''
$$;

CREATE FUNCTION role_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT md5('role:' || session_user)::uuid
$$;

CREATE FUNCTION acting_user() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    role_user uuid;
BEGIN
    IF written_by_service() THEN
        RETURN current_setting('partstream.actor')::uuid;
    END IF;
    role_user := role_user_id();
    INSERT INTO users (id, username) VALUES (role_user, session_user) ON CONFLICT (id) DO NOTHING;
    RETURN role_user;
END $$;
"""

# Append to the change log on behalf of whoever writes. Nothing a person at `psql` left in the settings of the service
# is believed unless the transaction is the service's.
_LOG = """
CREATE FUNCTION log_content_change(
    entity text, entity_id text, version bigint, operation text, before jsonb, after jsonb, details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written_by_service() THEN
        PERFORM change_log_append(entity, entity_id, version, operation, before, after, details,
            current_setting('partstream.actor', true), current_setting('partstream.actor_name', true), 'service',
            current_setting('partstream.client_ip', true), current_setting('partstream.request_id', true),
            current_setting('partstream.traceparent', true), current_setting('partstream.reason', true));
    ELSE
        PERFORM change_log_append(entity, entity_id, version, operation, before, after, details,
            role_user_id()::text, session_user::text, 'sql', '', '', '', '');
    END IF;
END $$;
"""

# The fields that differ between two snapshots, sorted; bookkeeping and what is derived does not count.
_CHANGED_FIELDS = """
CREATE FUNCTION changed_fields(before jsonb, after jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_agg(key ORDER BY key), '[]')
    FROM jsonb_each(after) AS field(key, value)
    WHERE key NOT IN ('version', 'published_version', 'create_time', 'update_time', 'updated_by', 'category_path')
        AND CASE WHEN before IS NULL THEN value NOT IN ('null', '""', '[]', '{}')
                 ELSE before -> key IS DISTINCT FROM value END
$$;
"""

# For tables that keep history: no statement but INSERT.
_REFUSALS = """
CREATE FUNCTION refuse_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_ARGV[0];
END $$;
"""

CONTEXT = (_ACTOR, _LOG, _CHANGED_FIELDS, _REFUSALS)
