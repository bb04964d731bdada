-- Notify the replicas of a change made outside the service, in its own transaction.

CREATE OR REPLACE FUNCTION change_log_lock_head() RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    log_epoch uuid;
    last_revision bigint;
    last_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 1);
    SELECT i.epoch INTO STRICT log_epoch FROM change_log_identity i;
    SELECT l.revision, l.hash INTO last_revision, last_hash FROM change_log l ORDER BY l.revision DESC LIMIT 1;
    IF current_setting('partstream.source', true) IS DISTINCT FROM 'service' THEN
        PERFORM pg_notify('partstream_changes', '');
    END IF;
    RETURN coalesce(last_revision, 0) || ' ' || log_epoch || ' '
        || encode(coalesce(last_hash, sha256(convert_to(log_epoch::text, 'UTF8'))), 'hex');
END $$;
