-- The current schema of the audit database, for reading and for tests. Migrations create it: docs/migrations.md.

-- Reject UPDATE, DELETE and TRUNCATE. Statement triggers on the table and on each partition cost an INSERT nothing.
CREATE FUNCTION data_change_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'data_change_is_append_only';
END $$;

-- The audit trail: one row per entry of a change log, per movement for stock. `id` is the order of recording; within a
-- service, that of revisions.
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

-- An entry always has the same time, so that the partition key in the unique index admits no second copy.
CREATE UNIQUE INDEX data_change_once ON data_change (service, epoch, revision, ordinal, occurred_at);
CREATE INDEX data_change_latest ON data_change (service, id);
CREATE INDEX data_change_by_time ON data_change (occurred_at, id);
CREATE INDEX data_change_by_part ON data_change (part_id, occurred_at, id) WHERE part_id IS NOT NULL;
CREATE INDEX data_change_by_actor ON data_change (actor, occurred_at, id);

CREATE TRIGGER data_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON data_change
    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only();

-- The months that retention dropped.
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

-- The epochs that a restore ended, so that the trail can report which entries it never had.
CREATE TABLE log_ending (
    service text NOT NULL,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT ending_not_negative CHECK (revision >= 0),
    continued_after bigint NOT NULL CONSTRAINT continuation_not_negative CHECK (continued_after >= 0),
    ended_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT log_ending_pkey PRIMARY KEY (service, epoch)
);

CREATE TRIGGER log_ending_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_ending
    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only();

-- Create the partition of the month (UTC) of a point in time; return whether it was created now. Safe from several
-- processes.
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

-- Drop the partitions that end at or before a point in time, oldest first, and record each. A partition with the latest
-- row of a service stays: that row is the position of the service.
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

-- The scheduler creates months ahead; a new database begins with this one and the next three.
SELECT data_change_ensure_month(date_trunc('month', now(), 'UTC') + n * interval '1 month')
FROM generate_series(0, 3) AS n;
