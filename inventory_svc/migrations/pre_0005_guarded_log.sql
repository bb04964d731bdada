-- Reject entries that no commit wrote, pin the schema of triggers, and compare rows with the log.

CREATE FUNCTION change_log_is_written_by_commits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the change log are written by the commits they tell of'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_written_by_commits';
END $$;
CREATE TRIGGER change_log_is_written_by_commits BEFORE INSERT ON change_log FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_written_by_commits();

CREATE FUNCTION change_log_identity_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a change log keeps its identity: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_identity_stays';
END $$;
CREATE TRIGGER change_log_identity_stays BEFORE DELETE OR TRUNCATE ON change_log_identity
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_identity_stays();

CREATE OR REPLACE FUNCTION change_log_append(
    entity text, entity_id text, version bigint, operation text, before jsonb, after jsonb, details jsonb,
    actor text, actor_name text, source text, client_ip text, request_id text, traceparent text, reason text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head text := nullif(current_setting('partstream.log_head', true), '');
    this_revision bigint;
    log_epoch uuid;
    entry_hash bytea;
    now_at timestamptz := clock_timestamp();
    xid bigint := pg_current_xact_id()::text::bigint;
    has_old_snapshot boolean := false;
BEGIN
    IF head IS NULL OR split_part(head, ' ', 4) <> xid::text THEN
        head := change_log_lock_head();
        has_old_snapshot := current_setting('transaction_isolation') <> 'read committed';
    END IF;
    actor := coalesce(actor, '');
    actor_name := coalesce(actor_name, '');
    client_ip := coalesce(client_ip, '');
    request_id := coalesce(request_id, '');
    traceparent := coalesce(traceparent, '');
    reason := coalesce(reason, '');
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
    -- An assignment, not PERFORM, which would start an executor.
    head := set_config('partstream.log_head',
        this_revision || ' ' || log_epoch || ' ' || encode(entry_hash, 'hex') || ' ' || xid, true);
    RETURN this_revision;
END $$;

CREATE FUNCTION change_log_rows_that_differ(OUT entity text, OUT entity_id text, OUT problem text)
RETURNS SETOF record LANGUAGE plpgsql STABLE AS $$
DECLARE
    has_all_entries boolean := NOT EXISTS (SELECT FROM change_log_compaction);
BEGIN
    RETURN QUERY
    WITH newest AS MATERIALIZED (
        SELECT l.entity, l.entity_id, l.after FROM change_log AS l
        JOIN (SELECT max(e.revision) AS revision FROM change_log AS e GROUP BY e.entity, e.entity_id) AS e
            USING (revision)
    ), present AS (
        SELECT 'stock_level' AS entity, s.part_id || '/' || s.location_id AS entity_id, n.entity IS NOT NULL AS is_told,
               jsonb_populate_record(s, n.after) IS DISTINCT FROM s AS differs
        FROM stock_level AS s
        LEFT JOIN newest AS n ON n.entity = 'stock_level' AND n.entity_id = s.part_id || '/' || s.location_id
        UNION ALL
        SELECT 'location', p.location_id, n.entity IS NOT NULL, jsonb_populate_record(p, n.after) IS DISTINCT FROM p
        FROM location AS p LEFT JOIN newest AS n ON n.entity = 'location' AND n.entity_id = p.location_id
        UNION ALL
        SELECT 'reservation', r.reservation_id::text, n.entity IS NOT NULL,
               jsonb_populate_record(r, n.after) IS DISTINCT FROM r
        FROM reservation AS r
        LEFT JOIN newest AS n ON n.entity = 'reservation' AND n.entity_id = r.reservation_id::text
    )
    SELECT coalesce(p.entity, n.entity), coalesce(p.entity_id, n.entity_id),
           CASE WHEN p.entity IS NULL THEN 'the row is gone'
                WHEN p.is_told THEN 'the row is not as its last entry says'
                ELSE 'no entry tells of the row' END
    FROM present AS p FULL JOIN newest AS n ON n.entity = p.entity AND n.entity_id = p.entity_id
    WHERE p.entity IS NULL OR (p.is_told AND p.differs) OR (has_all_entries AND NOT p.is_told);

    RETURN QUERY
    SELECT 'stock_level', s.part_id || '/' || s.location_id, 'the ledger does not lead to the level'
    FROM stock_level AS s
    LEFT JOIN (SELECT m.part_id, m.location_id, count(*) AS movements, sum(m.on_hand_delta) AS on_hand,
                      sum(m.reserved_delta) AS reserved
               FROM stock_movement AS m GROUP BY m.part_id, m.location_id) AS m
        ON m.part_id = s.part_id AND m.location_id = s.location_id
    WHERE m.movements IS DISTINCT FROM s.version OR m.on_hand <> s.on_hand OR m.reserved <> s.reserved;
END $$;

CREATE OR REPLACE FUNCTION inventory_provenance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.* IS NOT DISTINCT FROM NEW.* THEN
        RETURN NEW;
    END IF;
    NEW.version := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE OLD.version + 1 END;
    IF current_setting('partstream.source', true) = 'service' THEN
        NEW.source := 'service';
        RETURN NEW;
    END IF;
    NEW.updated_at := clock_timestamp();
    NEW.last_updated_by := inventory_role_actor();
    NEW.last_updated_by_name := session_user;
    NEW.source := 'sql';
    NEW.client_ip := '';
    NEW.request_id := '';
    NEW.traceparent := '';
    RETURN NEW;
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
