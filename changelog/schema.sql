-- The current schema of a change log, for reading and for tests. Migrations create it: docs/migrations.md.
--
-- The schema of each service includes this file. A service adds deferred constraint triggers to its tables that call
-- `change_log_append` at commit. Revisions are gap-free and in commit order, because one advisory transaction lock per
-- log, (7301, 1), is held from the first entry of a transaction to its commit. Trigger functions pin their search path:
-- without it a temporary table of the same name would take the place of one of these tables.

-- ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The identity of the log: one row. A restore renews the epoch and stores the last restored revision in `began_after`,
-- so that a follower can separate shared history from lost history. A partition of 1,000,000 rows takes about 1 GB.
CREATE TABLE change_log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT log_has_one_identity CHECK (only_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    began_at timestamptz NOT NULL DEFAULT now(),
    began_after bigint NOT NULL DEFAULT 0,
    partition_revisions bigint NOT NULL DEFAULT 1000000
        CONSTRAINT partitions_are_not_tiny CHECK (partition_revisions >= 256)
);

INSERT INTO change_log_identity DEFAULT VALUES;

-- A domain, because every INSERT parses a CHECK of its table again, which is once per entry.
CREATE DOMAIN change_operation AS text CONSTRAINT operation_known CHECK (VALUE IN ('created', 'updated', 'deleted'));

-- The log. Entries of one transaction share `transaction_id`. `hash` covers the entry and the hash before it.
CREATE TABLE change_log (
    revision bigint NOT NULL,
    epoch uuid NOT NULL,
    transaction_id bigint NOT NULL,
    entity text NOT NULL,
    entity_id text NOT NULL,
    version bigint NOT NULL,
    operation change_operation NOT NULL,
    before jsonb,
    after jsonb,
    details jsonb,
    actor text NOT NULL DEFAULT '',
    actor_name text NOT NULL DEFAULT '',
    source text NOT NULL,
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    committed_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT change_log_pkey PRIMARY KEY (revision)
) PARTITION BY RANGE (revision);

-- Find entries by entity: block ranges with a Bloom filter of their ids, because the log is written far more often than
-- it is searched: 0.2 us per entry where a B-tree costs 4.4 us (docs/performance.md). A range of 64 pages holds about
-- 400 entries. `change_log_summarise` adds ranges; a search scans those that are not summarised yet.
CREATE INDEX change_log_by_entity ON change_log
    USING brin (entity_id text_bloom_ops (n_distinct_per_range = 400))
    WITH (pages_per_range = 64, autosummarize = off);

-- Registered followers. Retention keeps the entries after a follower's position while the follower reports.
CREATE TABLE change_log_follower (
    name text PRIMARY KEY,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT follower_revision_not_negative CHECK (revision >= 0),
    reported_at timestamptz NOT NULL DEFAULT now(),
    sent_revision bigint NOT NULL DEFAULT 0,
    registered_by text NOT NULL DEFAULT '',
    registered_at timestamptz NOT NULL DEFAULT now()
);

-- The partitions that retention dropped, by whom, and the hash from which the chain continues.
CREATE TABLE change_log_compaction (
    last_revision bigint PRIMARY KEY,
    first_revision bigint NOT NULL,
    last_hash bytea NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    dropped_by text NOT NULL DEFAULT session_user
);

-- Entries of raw SQL, prepared without the lock of the log. Rows exist only while their transaction commits, so that an
-- unlogged table loses nothing. `hashed` is the part of an entry's hash that is known before the lock is taken.
CREATE UNLOGGED TABLE change_log_staged (
    transaction_id bigint NOT NULL,
    ordinal bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    is_first boolean NOT NULL,
    entity text NOT NULL,
    entity_id text NOT NULL,
    version bigint NOT NULL,
    operation change_operation NOT NULL,
    before jsonb,
    after jsonb,
    details jsonb,
    actor text NOT NULL,
    actor_name text NOT NULL,
    source text NOT NULL,
    client_ip text NOT NULL,
    request_id text NOT NULL,
    traceparent text NOT NULL,
    reason text NOT NULL,
    hashed bytea NOT NULL,
    CONSTRAINT change_log_staged_pkey PRIMARY KEY (transaction_id, ordinal)
) WITH (toast_tuple_target = 8160);

ALTER TABLE change_log_staged ALTER COLUMN hashed SET STORAGE EXTERNAL;

-- ── Guards ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Reject UPDATE, DELETE and TRUNCATE, also by the owner.
CREATE FUNCTION change_log_is_append_only() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the change log is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_append_only';
END $$;

CREATE TRIGGER change_log_is_append_only BEFORE UPDATE OR DELETE ON change_log
    FOR EACH ROW EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER change_log_is_not_truncated BEFORE TRUNCATE ON change_log
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER compaction_is_append_only BEFORE UPDATE OR DELETE ON change_log_compaction
    FOR EACH ROW EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER compaction_is_not_truncated BEFORE TRUNCATE ON change_log_compaction
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only();

-- Reject entries that no trigger wrote. The test is a condition of the trigger, evaluated without a function call: no
-- cost was measurable, where a function that tests takes 20 of 35 us per entry.
CREATE FUNCTION change_log_is_written_by_commits() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'entries of the change log are written by the commits they tell of'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_written_by_commits';
END $$;

CREATE TRIGGER change_log_is_written_by_commits BEFORE INSERT ON change_log FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_written_by_commits();

-- Reject the loss of the identity, without which no transaction can write.
CREATE FUNCTION change_log_identity_stays() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a change log keeps its identity: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_identity_stays';
END $$;

CREATE TRIGGER change_log_identity_stays BEFORE DELETE OR TRUNCATE ON change_log_identity
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_identity_stays();

-- Only triggers insert and delete staged entries; they never change.
CREATE TRIGGER staged_entries_come_from_commits BEFORE INSERT ON change_log_staged FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_written_by_commits();
CREATE TRIGGER staged_entries_go_with_commits BEFORE DELETE ON change_log_staged FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER staged_entries_do_not_change BEFORE UPDATE ON change_log_staged FOR EACH ROW
    EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER staged_entries_are_not_truncated BEFORE TRUNCATE ON change_log_staged FOR EACH STATEMENT
    EXECUTE FUNCTION change_log_is_append_only();

-- ── Partitions and retention ────────────────────────────────────────────────────────────────────────────────────────

-- Return the partitions with their bounds, lowest first.
CREATE FUNCTION change_log_partitions() RETURNS TABLE (partition regclass, lower_bound bigint, upper_bound bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, b.bounds[1]::bigint, b.bounds[2]::bigint
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS bounds
    ) AS b
    WHERE i.inhparent = 'change_log'::regclass
    ORDER BY b.bounds[1]::bigint
$$;

-- Create partitions until `ahead` of them are empty; return how many were created. Safe from several processes. A
-- partition begins where the one before ends, so that the size may change at any time.
CREATE FUNCTION change_log_ensure_partitions(ahead int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    head bigint := coalesce((SELECT max(revision) FROM change_log), 0);
    size bigint := (SELECT partition_revisions FROM change_log_identity);
    low bigint;
    spare int;
    part text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 2);
    SELECT coalesce(max(p.upper_bound), head / size * size), count(*) FILTER (WHERE p.lower_bound > head)
        INTO low, spare FROM change_log_partitions() AS p;
    WHILE low <= head OR spare < ahead LOOP
        part := 'change_log_' || lpad(low::text, 12, '0');
        EXECUTE format('CREATE TABLE %I (LIKE change_log INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE change_log ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       part, low, low + size);
        EXECUTE format('CREATE TRIGGER change_log_is_not_truncated BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only()', part);
        spare := spare + (low > head)::int;
        low := low + size;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Set how many revisions a partition holds from now on; empty partitions are created again in the new size.
CREATE FUNCTION change_log_resize_partitions(revisions bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    spare regclass[];
    part regclass;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 1), pg_advisory_xact_lock(7301, 2);
    LOCK TABLE change_log IN ACCESS EXCLUSIVE MODE;
    UPDATE change_log_identity SET partition_revisions = revisions;
    -- Read to its end first: a partition cannot be dropped while a query is open on the table.
    spare := ARRAY(SELECT p.partition FROM change_log_partitions() AS p
                   WHERE p.lower_bound > coalesce((SELECT max(revision) FROM change_log), -1));
    FOREACH part IN ARRAY spare LOOP
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
    PERFORM change_log_ensure_partitions(4);
END $$;

-- Drop the oldest closed partition when it is older than `keep_for`, or when the log is larger than `keep_bytes`,
-- unless a follower needs it; return what was dropped, or the follower that holds it. Of a follower that has not
-- reported since a restore, the history that both epochs share counts. DETACH blocks readers and writers, and others
-- queue behind it: the lock timeout is short, and the caller retries later. Processes of release 0.2.0 call it so.
CREATE FUNCTION change_log_drop_oldest(
    keep_for interval, keep_bytes bigint, OUT dropped_to bigint, OUT held_by text, OUT held_at bigint
) LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    candidate record;
    first_one record;
    last_one record;
    total bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7301, 4) THEN
        RETURN;
    END IF;
    SELECT p.partition, p.upper_bound INTO candidate FROM change_log_partitions() AS p
        WHERE p.upper_bound <= (SELECT l.revision FROM change_log AS l ORDER BY l.revision DESC LIMIT 1)
        ORDER BY p.upper_bound LIMIT 1;
    IF candidate IS NULL THEN
        RETURN;
    END IF;
    SELECT l.revision INTO first_one FROM change_log AS l ORDER BY l.revision LIMIT 1;
    SELECT l.revision, l.hash, l.committed_at INTO last_one
        FROM change_log AS l WHERE l.revision < candidate.upper_bound ORDER BY l.revision DESC LIMIT 1;
    SELECT sum(pg_total_relation_size(i.inhrelid)) INTO total FROM pg_inherits AS i
        WHERE i.inhparent = 'change_log'::regclass;
    IF last_one.committed_at >= clock_timestamp() - keep_for AND total <= keep_bytes THEN
        RETURN;
    END IF;
    SELECT f.name, f.needs_after INTO held_by, held_at
        FROM (SELECT o.name, CASE WHEN o.epoch = i.epoch THEN o.revision
                                  ELSE least(o.revision, i.began_after) END AS needs_after
              FROM change_log_follower AS o CROSS JOIN change_log_identity AS i) AS f
        WHERE f.needs_after < last_one.revision ORDER BY f.needs_after LIMIT 1;
    IF held_by IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO change_log_compaction (last_revision, first_revision, last_hash)
        VALUES (last_one.revision, first_one.revision, last_one.hash);
    EXECUTE format('ALTER TABLE change_log DETACH PARTITION %s', candidate.partition);
    EXECUTE format('DROP TABLE %s', candidate.partition);
    dropped_to := last_one.revision;
END $$;

-- The same, but a follower that has not reported for `hold_for` holds nothing back; `passed_over` lists those for which
-- entries were dropped in spite of it.
CREATE FUNCTION change_log_drop_oldest(
    keep_for interval, keep_bytes bigint, hold_for interval,
    OUT dropped_to bigint, OUT held_by text, OUT held_at bigint, OUT passed_over text[]
) LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    candidate record;
    first_one record;
    last_one record;
    total bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7301, 4) THEN
        RETURN;
    END IF;
    SELECT p.partition, p.upper_bound INTO candidate FROM change_log_partitions() AS p
        WHERE p.upper_bound <= (SELECT l.revision FROM change_log AS l ORDER BY l.revision DESC LIMIT 1)
        ORDER BY p.upper_bound LIMIT 1;
    IF candidate IS NULL THEN
        RETURN;
    END IF;
    SELECT l.revision INTO first_one FROM change_log AS l ORDER BY l.revision LIMIT 1;
    SELECT l.revision, l.hash, l.committed_at INTO last_one
        FROM change_log AS l WHERE l.revision < candidate.upper_bound ORDER BY l.revision DESC LIMIT 1;
    SELECT sum(pg_total_relation_size(i.inhrelid)) INTO total FROM pg_inherits AS i
        WHERE i.inhparent = 'change_log'::regclass;
    IF last_one.committed_at >= clock_timestamp() - keep_for AND total <= keep_bytes THEN
        RETURN;
    END IF;
    WITH needs AS (
        SELECT o.name, o.reported_at < clock_timestamp() - hold_for AS inactive,
               CASE WHEN o.epoch = i.epoch THEN o.revision ELSE least(o.revision, i.began_after) END AS needs_after
        FROM change_log_follower AS o CROSS JOIN change_log_identity AS i
    ), held AS (
        SELECT n.name, n.needs_after FROM needs AS n
        WHERE n.needs_after < last_one.revision AND NOT n.inactive ORDER BY n.needs_after LIMIT 1
    )
    SELECT h.name, h.needs_after,
           ARRAY(SELECT n.name FROM needs AS n WHERE n.inactive AND n.needs_after < last_one.revision ORDER BY n.name)
        INTO held_by, held_at, passed_over
        FROM (SELECT) AS one LEFT JOIN held AS h ON true;
    IF held_by IS NOT NULL THEN
        passed_over := NULL;
        RETURN;
    END IF;
    INSERT INTO change_log_compaction (last_revision, first_revision, last_hash)
        VALUES (last_one.revision, first_one.revision, last_one.hash);
    EXECUTE format('ALTER TABLE change_log DETACH PARTITION %s', candidate.partition);
    EXECUTE format('DROP TABLE %s', candidate.partition);
    dropped_to := last_one.revision;
END $$;

-- Summarise the block ranges written since the last call. Gives up at once when another session works on a partition: a
-- vacuum that is waited for longer would be cancelled, and it summarises as well.
CREATE FUNCTION change_log_summarise() RETURNS int LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
DECLARE
    head bigint := coalesce((SELECT l.revision FROM change_log AS l ORDER BY l.revision DESC LIMIT 1), 0);
    part_index regclass;
    summed_up int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7301, 5) THEN
        RETURN 0;
    END IF;
    FOR part_index IN
        SELECT i.indexrelid::regclass
        FROM change_log_partitions() AS p
        JOIN pg_index AS i ON i.indrelid = p.partition
        JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid AND h.inhparent = 'change_log_by_entity'::regclass
        WHERE p.lower_bound <= head ORDER BY p.lower_bound DESC LIMIT 2
    LOOP
        summed_up := summed_up + brin_summarize_new_values(part_index);
    END LOOP;
    RETURN summed_up;
EXCEPTION WHEN lock_not_available THEN
    RETURN summed_up;
END $$;

-- Begin a new epoch, for the restore procedure: every older cursor is invalid from now on. Takes the lock of the log,
-- so that no entry of the old epoch follows.
CREATE FUNCTION change_log_begin_epoch() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    begun uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 1);
    UPDATE change_log_identity SET epoch = gen_random_uuid(), began_at = now(),
        began_after = coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0)
    RETURNING epoch INTO begun;
    RETURN begun;
END $$;

-- ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return the hash of an entry: over every column but the hash, and the hash before it. jsonb has one text form.
-- PL/pgSQL evaluates its single expression without an executor: an SQL function takes 10 us more per row.
CREATE FUNCTION change_log_entry_hash(
    previous bytea, revision bigint, epoch uuid, transaction_id bigint, entity text, entity_id text, version bigint,
    operation text, before jsonb, after jsonb, details jsonb, actor text, actor_name text, source text, client_ip text,
    request_id text, traceparent text, reason text, committed_at timestamptz
) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(previous || convert_to(concat_ws(E'\x1f',
        revision, epoch, transaction_id, version, (extract(epoch FROM committed_at) * 1000000)::bigint,
        coalesce(before::text, ''), coalesce(after::text, ''), coalesce(details::text, ''),
        to_jsonb(ARRAY[entity, entity_id, operation, actor, actor_name, source, client_ip, request_id, traceparent,
                       reason])::text), 'UTF8'));
END $$;

-- Take the lock of the log and return the last entry: revision, epoch and hash. The service waits longer for this lock
-- than for rows: its owner is writing entries. A transaction of another client sends NOTIFY once, for its first entry;
-- a process of the service sends it after the commit, because NOTIFY takes a lock of the whole server at commit. A
-- function of its own, because its plan must be an index scan even while the log is empty, and a setting of a function
-- costs time at every call.
CREATE FUNCTION change_log_lock_head() RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    by_service boolean := coalesce(current_setting('partstream.source', true), '') = 'service';
    row_lock_timeout text := current_setting('lock_timeout');
    log_epoch uuid;
    last_revision bigint;
    last_hash bytea;
BEGIN
    IF by_service AND NOT pg_try_advisory_xact_lock(7301, 1) THEN
        PERFORM set_config('lock_timeout', '5s', true);
        PERFORM pg_advisory_xact_lock(7301, 1);
        PERFORM set_config('lock_timeout', row_lock_timeout, true);
    ELSIF NOT by_service THEN
        PERFORM pg_advisory_xact_lock(7301, 1);
        PERFORM pg_notify('partstream_changes', '');
    END IF;
    SELECT i.epoch INTO STRICT log_epoch FROM change_log_identity i;
    SELECT l.revision, l.hash INTO last_revision, last_hash FROM change_log l ORDER BY l.revision DESC LIMIT 1;
    RETURN coalesce(last_revision, 0) || ' ' || log_epoch || ' '
        || encode(coalesce(last_hash, sha256(convert_to(log_epoch::text, 'UTF8'))), 'hex');
END $$;

-- Aggregate that continues the hash chain over staged entries, as `change_log_entry_hash` defines it.
CREATE FUNCTION change_log_chain_step(previous bytea, first_previous bytea, covered_first text, hashed bytea)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(coalesce(previous, first_previous) || convert_to(covered_first, 'UTF8') || hashed);
END $$;

CREATE AGGREGATE change_log_chain(bytea, text, bytea) (SFUNC = change_log_chain_step, STYPE = bytea);

-- Write the staged entries of this transaction to the log in one statement. A snapshot older than the newest entry
-- cannot find the head: a REPEATABLE READ transaction gets a serialisation failure, which clients retry.
CREATE FUNCTION change_log_write_staged() RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    xid bigint := pg_current_xact_id()::text::bigint;
    entries bigint := (SELECT count(*) FROM change_log_staged s WHERE s.transaction_id = xid);
    head text;
    last_revision bigint;
    log_epoch uuid;
    last_hash bytea;
    now_at timestamptz;
    until_version text;
    after_version text;
BEGIN
    IF entries = 0 THEN
        RETURN;
    END IF;
    head := change_log_lock_head();
    now_at := clock_timestamp();
    last_revision := split_part(head, ' ', 1)::bigint;
    log_epoch := split_part(head, ' ', 2)::uuid;
    last_hash := decode(split_part(head, ' ', 3), 'hex');
    IF (last_revision + entries) / 256 > last_revision / 256 THEN
        PERFORM change_log_ensure_partitions(
            (4 + entries / (SELECT i.partition_revisions FROM change_log_identity i))::int);
    END IF;
    until_version := concat(E'\x1f', log_epoch, E'\x1f', xid, E'\x1f');
    after_version := concat(E'\x1f', (extract(epoch FROM now_at) * 1000000)::bigint, E'\x1f');
    BEGIN
        INSERT INTO change_log (revision, epoch, transaction_id, entity, entity_id, version, operation, before, after,
            details, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash)
        SELECT n.revision, log_epoch, xid, n.entity, n.entity_id, n.version, n.operation, n.before, n.after, n.details,
            n.actor, n.actor_name, n.source, n.client_ip, n.request_id, n.traceparent, n.reason, now_at,
            change_log_chain(last_hash, n.revision || until_version || n.version || after_version, n.hashed)
                OVER (ORDER BY n.ordinal ROWS UNBOUNDED PRECEDING)
        FROM (SELECT last_revision + row_number() OVER (ORDER BY s.ordinal ROWS UNBOUNDED PRECEDING) AS revision, s.*
              FROM change_log_staged s WHERE s.transaction_id = xid) n;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'the change log has moved on since this transaction began: try again'
            USING ERRCODE = 'serialization_failure', CONSTRAINT = 'change_log_moved_on';
    END;
    DELETE FROM change_log_staged s WHERE s.transaction_id = xid;
    last_revision := last_revision + entries;
    SELECT l.hash INTO STRICT last_hash FROM change_log l WHERE l.revision = last_revision;
    PERFORM set_config('partstream.log_head',
        last_revision || ' ' || log_epoch || ' ' || encode(last_hash, 'hex') || ' ' || xid, true);
END $$;

-- Fire after all other deferred triggers, because the first staged entry queues it.
CREATE FUNCTION change_log_staged_is_complete() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM change_log_write_staged();
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER staged_entries_are_written AFTER INSERT ON change_log_staged DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION change_log_staged_is_complete();

-- Stage an entry. Whether it is the first one is queried, not stored in a setting: a setting could be forged, and a
-- rolled back savepoint removes rows.
CREATE FUNCTION change_log_stage(
    xid bigint, entity text, entity_id text, version bigint, operation text, before jsonb, after jsonb, details jsonb,
    actor text, actor_name text, source text, client_ip text, request_id text, traceparent text, reason text
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO change_log_staged (transaction_id, is_first, entity, entity_id, version, operation, before, after,
        details, actor, actor_name, source, client_ip, request_id, traceparent, reason, hashed)
    VALUES (xid, NOT EXISTS (SELECT FROM change_log_staged s WHERE s.transaction_id = xid), entity, entity_id, version,
        operation, before, after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason,
        convert_to(concat_ws(E'\x1f', coalesce(before::text, ''), coalesce(after::text, ''),
            coalesce(details::text, ''), to_jsonb(ARRAY[entity, entity_id, operation, actor, actor_name, source,
            client_ip, request_id, traceparent, reason])::text), 'UTF8'));
END $$;

-- Take the lock before the first entry of a transaction that appends directly; staged entries are written first.
CREATE FUNCTION change_log_open() RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    xid bigint := pg_current_xact_id()::text::bigint;
BEGIN
    IF EXISTS (SELECT FROM change_log_staged s WHERE s.transaction_id = xid) THEN
        PERFORM change_log_write_staged();
        RETURN current_setting('partstream.log_head');
    END IF;
    RETURN change_log_lock_head();
END $$;

-- Take the lock now, for a transaction that checks something under it; its entries are appended directly.
CREATE FUNCTION change_log_begin_direct() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head text := nullif(current_setting('partstream.log_head', true), '');
    xid text := pg_current_xact_id()::text;
BEGIN
    IF head IS NULL OR split_part(head, ' ', 4) <> xid THEN
        head := change_log_open();
        head := set_config('partstream.log_head', concat_ws(' ', split_part(head, ' ', 1), split_part(head, ' ', 2),
            split_part(head, ' ', 3), xid), true);
    END IF;
END $$;

-- Append an entry and return its revision, or stage it and return NULL. A trigger of raw SQL costs 70 to 250 us per
-- entry; staging keeps that outside the lock of the log. The remembered head counts only with the id of this
-- transaction: a setting of an earlier one would make a gap.
CREATE FUNCTION change_log_append(
    entity text, entity_id text, version bigint, operation text, before jsonb, after jsonb, details jsonb,
    actor text, actor_name text, source text, client_ip text, request_id text, traceparent text, reason text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head text := nullif(current_setting('partstream.log_head', true), '');
    this_revision bigint;
    log_epoch uuid;
    entry_hash bytea;
    now_at timestamptz;
    xid bigint := pg_current_xact_id()::text::bigint;
    has_old_snapshot boolean := current_setting('transaction_isolation') <> 'read committed';
BEGIN
    actor := coalesce(actor, '');
    actor_name := coalesce(actor_name, '');
    client_ip := coalesce(client_ip, '');
    request_id := coalesce(request_id, '');
    traceparent := coalesce(traceparent, '');
    reason := coalesce(reason, '');
    IF head IS NULL OR split_part(head, ' ', 4) <> xid::text THEN
        IF source <> 'service' THEN
            -- Assignments, not PERFORM, which would start an executor.
            head := change_log_stage(xid, entity, entity_id, version, operation, before, after, details, actor,
                actor_name, source, client_ip, request_id, traceparent, reason);
            RETURN NULL;
        END IF;
        head := change_log_open();
    END IF;
    now_at := clock_timestamp();
    this_revision := split_part(head, ' ', 1)::bigint + 1;
    IF this_revision % 256 = 0 THEN
        PERFORM change_log_ensure_partitions(4);
    END IF;
    log_epoch := split_part(head, ' ', 2)::uuid;
    entry_hash := change_log_entry_hash(decode(split_part(head, ' ', 3), 'hex'), this_revision, log_epoch, xid, entity,
        entity_id, version, operation, before, after, details, actor, actor_name, source, client_ip, request_id,
        traceparent, reason, now_at);
    IF has_old_snapshot THEN
        BEGIN
            INSERT INTO change_log VALUES (this_revision, log_epoch, xid, entity, entity_id, version, operation, before,
                after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason, now_at,
                entry_hash);
        EXCEPTION WHEN unique_violation THEN
            RAISE EXCEPTION 'the change log has moved on since this transaction began: try again'
                USING ERRCODE = 'serialization_failure', CONSTRAINT = 'change_log_moved_on';
        END;
    ELSE
        INSERT INTO change_log VALUES (this_revision, log_epoch, xid, entity, entity_id, version, operation, before,
            after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason, now_at, entry_hash);
    END IF;
    head := set_config('partstream.log_head',
        this_revision || ' ' || log_epoch || ' ' || encode(entry_hash, 'hex') || ' ' || xid, true);
    RETURN this_revision;
END $$;

-- Fire the deferred triggers and return the last revision of this transaction; NULL when it changed nothing.
CREATE FUNCTION change_log_seal() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN nullif(split_part(coalesce(current_setting('partstream.log_head', true), ''), ' ', 1), '')::bigint;
END $$;

-- ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return the entries from the known one to the last one written, under the lock of the log, so that entries of other
-- replicas are among them; none when there are too many or none is known. Volatile, so that it reads what its own
-- statement has written.
CREATE FUNCTION change_log_written(last_known bigint, last_written bigint) RETURNS SETOF change_log
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF last_known > 0 AND last_written - last_known BETWEEN 1 AND 64 THEN
        RETURN QUERY SELECT l.* FROM change_log AS l
            WHERE l.revision BETWEEN last_known AND last_written ORDER BY l.revision;
    END IF;
END $$;

-- Return entries of some ids (NULL = all) and of one kind ('' = all) with `low` < revision <= `high`, oldest first. In
-- dynamic SQL each id is a condition of its own, which this kind of index needs, and no plan depends on statistics: few
-- revisions are read through the primary key, many through the index (`revision + 0` rules the primary key out). More
-- than 32 ids are compared with each entry instead.
CREATE FUNCTION change_log_find(low bigint, high bigint, kind text, ids text[], most int)
RETURNS SETOF change_log LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_indexscan = off SET jit = off AS $$
DECLARE
    is_indexed boolean := high - low > 100000 AND cardinality(ids) <= 32;
    part record;
    conditions text := CASE WHEN kind <> '' THEN format(' AND entity = %L', kind) ELSE '' END;
    given int;
BEGIN
    IF is_indexed THEN
        conditions := conditions || coalesce((SELECT ' AND (' || string_agg(format('entity_id = %L', id), ' OR ') || ')'
                                              FROM unnest(ids) AS id), ' AND false');
    ELSIF ids IS NOT NULL THEN
        conditions := conditions || format(' AND entity_id = ANY (%L::text[])', ids);
    END IF;
    FOR part IN SELECT * FROM change_log_partitions() AS p
                WHERE p.lower_bound <= high AND p.upper_bound > low + 1 ORDER BY p.lower_bound LOOP
        RETURN QUERY EXECUTE format(
            'SELECT * FROM %1$s WHERE %2$s > %3$s AND %2$s <= %4$s%5$s ORDER BY revision LIMIT %6$s', part.partition,
            CASE WHEN is_indexed THEN 'revision + 0' ELSE 'revision' END, low, high, conditions, most);
        GET DIAGNOSTICS given = ROW_COUNT;
        most := most - given;
        EXIT WHEN most <= 0;
    END LOOP;
END $$;

SELECT change_log_ensure_partitions(4);
