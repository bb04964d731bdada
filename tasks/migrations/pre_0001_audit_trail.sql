-- Create the audit trail: partitioned by month, append-only.

CREATE SEQUENCE data_change_id;
CREATE TABLE data_change (
    id bigint NOT NULL DEFAULT nextval('data_change_id'),
    service text NOT NULL,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT revision_not_negative CHECK (revision >= 0),
    ordinal integer NOT NULL CONSTRAINT ordinal_not_negative CHECK (ordinal >= 0),
    entity text NOT NULL,
    entity_id text NOT NULL,
    part_id text,
    operation text NOT NULL CONSTRAINT operation_known CHECK (operation IN ('created', 'updated', 'deleted', 'gap')),
    old jsonb,
    new jsonb,
    changed_fields text[] NOT NULL DEFAULT '{}',
    details jsonb,
    actor text NOT NULL DEFAULT '',
    actor_id text NOT NULL DEFAULT '',
    source text NOT NULL DEFAULT '',
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (occurred_at);

CREATE UNIQUE INDEX data_change_once ON data_change (service, epoch, revision, ordinal, occurred_at);
CREATE INDEX data_change_latest ON data_change (service, id);
CREATE INDEX data_change_by_time ON data_change (occurred_at, id);
CREATE INDEX data_change_by_part ON data_change (part_id, occurred_at, id) WHERE part_id IS NOT NULL;
CREATE INDEX data_change_by_actor ON data_change (actor, occurred_at, id);

CREATE FUNCTION data_change_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'data_change_is_append_only';
END $$;
CREATE TRIGGER data_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON data_change
    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only();

CREATE FUNCTION data_change_ensure_month(moment timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    low timestamptz := date_trunc('month', moment, 'UTC');
    high timestamptz := (low AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    part text := 'data_change_' || to_char(low AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(7302, 1);
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE data_change INCLUDING ALL)', part);
    EXECUTE format('ALTER TABLE data_change ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, low, high);
    EXECUTE format('CREATE TRIGGER data_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only()', part);
    RETURN true;
END $$;

CREATE TABLE retention_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition text NOT NULL,
    rows_dropped bigint NOT NULL,
    first_occurred_at timestamptz,
    last_occurred_at timestamptz,
    dropped_by text NOT NULL DEFAULT session_user,
    dropped_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER retention_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention_event
    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only();

CREATE FUNCTION data_change_drop_months_before(moment timestamptz) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    part text;
    held text[];
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7302, 1);
    held := ARRAY(
        WITH RECURSIVE known(service) AS (
            (SELECT min(service) FROM data_change)
            UNION ALL
            SELECT (SELECT min(service) FROM data_change d WHERE d.service > known.service)
            FROM known WHERE known.service IS NOT NULL)
        SELECT (SELECT d.tableoid::regclass::text FROM data_change d WHERE d.service = known.service
                ORDER BY d.id DESC LIMIT 1)
        FROM known WHERE known.service IS NOT NULL);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'data_change'::regclass ORDER BY c.relname
    LOOP
        CONTINUE WHEN part = ANY (held)
            OR (to_date(right(part, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' > moment;
        EXECUTE format('INSERT INTO retention_event (partition, rows_dropped, first_occurred_at, last_occurred_at)
                        SELECT %L, count(*), min(occurred_at), max(occurred_at) FROM %I', part, part);
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT data_change_ensure_month(date_trunc('month', now(), 'UTC') + n * interval '1 month')
FROM generate_series(0, 3) AS n;
