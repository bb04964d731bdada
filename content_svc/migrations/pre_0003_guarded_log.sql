-- Reject entries and versions that no commit wrote, pin the schema of triggers, and compare rows with both.

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
        SELECT 'part' AS entity, p.part_id AS entity_id,
               part_snapshot(p) - 'category_path' #- '{updated_by,username}' AS state FROM part AS p
        UNION ALL SELECT 'category', c.category_id, category_snapshot(c) FROM category AS c
    )
    SELECT coalesce(p.entity, n.entity), coalesce(p.entity_id, n.entity_id),
           CASE WHEN p.entity IS NULL THEN 'the row is gone'
                WHEN n.entity IS NULL THEN 'no entry tells of the row'
                ELSE 'the row is not as its last entry says' END
    FROM present AS p FULL JOIN newest AS n ON n.entity = p.entity AND n.entity_id = p.entity_id
    WHERE p.entity IS NULL OR (n.entity IS NULL AND has_all_entries)
       OR p.state <> CASE p.entity WHEN 'part' THEN n.after - 'category_path' #- '{updated_by,username}'
                                   ELSE n.after END;

    RETURN QUERY
    SELECT 'part', p.part_id, 'its versions do not lead to the part'
    FROM part AS p
    LEFT JOIN (SELECT v.part_id, count(*) AS versions, max(v.version) AS newest FROM part_version AS v
               GROUP BY v.part_id) AS v ON v.part_id = p.part_id
    WHERE v.versions IS DISTINCT FROM p.version OR v.newest <> p.version;

    RETURN QUERY
    SELECT 'part', v.part_id, 'version ' || v.version || ' is not what its entry says'
    FROM part_version AS v
    JOIN change_log AS l ON l.entity = 'part' AND l.entity_id = v.part_id AND l.version = v.version
    WHERE l.after <> v.content_snapshot;
END $$;

CREATE TRIGGER part_version_is_made_by_commits BEFORE INSERT ON part_version
    FOR EACH ROW WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_statement('part_version_is_made_by_commits', 'a version is made when its part is written');

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
