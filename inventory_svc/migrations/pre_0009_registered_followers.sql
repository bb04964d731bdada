-- Register followers, and hold retention back only for those that report.

ALTER TABLE change_log_follower
    ADD COLUMN sent_revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN registered_by text NOT NULL DEFAULT '',
    ADD COLUMN registered_at timestamptz NOT NULL DEFAULT now();
UPDATE change_log_follower SET sent_revision = revision;

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
