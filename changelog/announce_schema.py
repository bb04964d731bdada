"""A change made outside the service notifies the replicas in its own transaction.

Transactions of the service send no notification, because NOTIFY takes a lock of the whole server at commit: its
processes send one afterwards (``notify.py``). Without its own, a change by SQL would reach watchers only at their poll.
"""

from changelog.notify import CHANNEL

# Part of the function that a transaction calls once, for its first entry: 30,000 rows send one notification, and a
# transaction of the service pays for reading one setting. Both costs are too small to measure.
_LOCK_HEAD = """
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
        PERFORM pg_notify('CHANNEL', '');
    END IF;
    RETURN coalesce(last_revision, 0) || ' ' || log_epoch || ' '
        || encode(coalesce(last_hash, sha256(convert_to(log_epoch::text, 'UTF8'))), 'hex');
END $$;
"""

ANNOUNCE_RAW_SQL = _LOCK_HEAD.replace("CHANNEL", CHANNEL)
