"""Retention of a change log: whole partitions leave, oldest first, through one function that records it."""

# Who depends on the log: entries after a follower's position are kept.
_FOLLOWER = """
CREATE TABLE change_log_follower (
    name text PRIMARY KEY,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT follower_revision_not_negative CHECK (revision >= 0),
    reported_at timestamptz NOT NULL DEFAULT now()
);
"""

# What was dropped, by whom, and the hash that the chain continues from.
_COMPACTION = """
CREATE TABLE change_log_compaction (
    last_revision bigint PRIMARY KEY,
    first_revision bigint NOT NULL,
    last_hash bytea NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    dropped_by text NOT NULL DEFAULT session_user
);
CREATE TRIGGER compaction_is_append_only BEFORE UPDATE OR DELETE ON change_log_compaction
    FOR EACH ROW EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER compaction_is_not_truncated BEFORE TRUNCATE ON change_log_compaction
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only();
"""

# Drop the oldest closed partition if it is older than `keep_for`, or if the log is larger than `keep_bytes`, and if no
# follower still needs it. Answers what became of it: nothing, dropped, or held and by whom. Of a follower that has not
# yet reported since the log was restored, what both histories share counts. The lock that detaching takes lets nobody
# read or write meanwhile, and those who come after queue behind it: it is given up soon and tried again later.
_DROP = """
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
"""

RETENTION = f"{_FOLLOWER}{_COMPACTION}{_DROP}"
