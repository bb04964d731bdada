-- Prepare the entries of raw SQL before the lock of the log is taken.

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

CREATE TRIGGER staged_entries_come_from_commits BEFORE INSERT ON change_log_staged FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_written_by_commits();
CREATE TRIGGER staged_entries_go_with_commits BEFORE DELETE ON change_log_staged FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER staged_entries_do_not_change BEFORE UPDATE ON change_log_staged FOR EACH ROW
    EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER staged_entries_are_not_truncated BEFORE TRUNCATE ON change_log_staged FOR EACH STATEMENT
    EXECUTE FUNCTION change_log_is_append_only();

CREATE OR REPLACE FUNCTION change_log_lock_head() RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE FUNCTION change_log_chain_step(previous bytea, first_previous bytea, covered_first text, hashed bytea)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(coalesce(previous, first_previous) || convert_to(covered_first, 'UTF8') || hashed);
END $$;
CREATE AGGREGATE change_log_chain(bytea, text, bytea) (SFUNC = change_log_chain_step, STYPE = bytea);

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
CREATE FUNCTION change_log_staged_is_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_log_write_staged();
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER staged_entries_are_written AFTER INSERT ON change_log_staged DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION change_log_staged_is_complete();

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

CREATE OR REPLACE FUNCTION change_log_append(
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

DO $$
DECLARE
    of_trigger regprocedure;
BEGIN
    FOR of_trigger IN
        SELECT p.oid::regprocedure FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', of_trigger, current_schema());
    END LOOP;
END $$;
