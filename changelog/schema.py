"""The change log's tables and functions, run in each service's first migration.

A service's deferred trigger calls ``change_log_append`` at commit. It takes one advisory transaction lock per log, so
the next revision is the last plus one: gap-free and in commit order. Within a transaction the head is remembered in a
transaction setting, so that only the first row pays for the lock and the look-up.
"""

from changelog.retention_schema import RETENTION

PARTITION_REVISIONS = 1_000_000  # rows of one partition: about 1 GB, a minute and a half at 10,000 changes/s
PARTITIONS_AHEAD = 4
# Whoever appends looks so often whether there is room ahead, at 0.1 ms each time: a transaction of many million rows
# finds its partitions, and so does a database that no service runs on.
MAKE_ROOM_EVERY = 256

# The identity of the log: one row, renewed by the restore procedure, which keeps the revision it was restored to, so
# that a follower can tell what it has from what was lost.
_IDENTITY = """
CREATE TABLE change_log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT log_has_one_identity CHECK (only_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    began_at timestamptz NOT NULL DEFAULT now(),
    began_after bigint NOT NULL DEFAULT 0,
    partition_revisions bigint NOT NULL DEFAULT PARTITION_REVISIONS
        CONSTRAINT partitions_are_not_tiny CHECK (partition_revisions >= MAKE_ROOM_EVERY)
);
INSERT INTO change_log_identity DEFAULT VALUES;
"""

# The log itself. `transaction_id` tells which neighbours were committed together. What an operation may be is a domain,
# because a table's CHECK is parsed anew by every INSERT, that is for every entry.
_TABLE = """
CREATE DOMAIN change_operation AS text CONSTRAINT operation_known CHECK (VALUE IN ('created', 'updated', 'deleted'));
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
"""

# Begin a new epoch; for the restore procedure. Every cursor given out before is refused from now on. Under the log's
# lock, so that no entry of the old epoch comes after.
_BEGIN_EPOCH = """
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
"""

# Nobody updates, deletes or truncates the log: not the owner, not by mistake.
_APPEND_ONLY = """
CREATE FUNCTION change_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the change log is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_append_only';
END $$;
CREATE TRIGGER change_log_is_append_only BEFORE UPDATE OR DELETE ON change_log
    FOR EACH ROW EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER change_log_is_not_truncated BEFORE TRUNCATE ON change_log
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only();
"""

# Make the next partitions, until `ahead` of them hold nothing yet; answers how many were made. Safe to run from several
# processes. A partition begins where the one before it ends, so that their size may be changed at any time.
_PARTITIONS = """
CREATE FUNCTION change_log_partitions() RETURNS TABLE (partition regclass, lower_bound bigint, upper_bound bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, b.bounds[1]::bigint, b.bounds[2]::bigint
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''(\\d+)''\\) TO \\(''(\\d+)''\\)') AS bounds
    ) AS b
    WHERE i.inhparent = 'change_log'::regclass
    ORDER BY b.bounds[1]::bigint
$$;
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
SELECT change_log_ensure_partitions(PARTITIONS_AHEAD);
"""

# Let partitions hold so many revisions from now on; those that are still empty are made anew.
_RESIZE = """
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
    PERFORM change_log_ensure_partitions(PARTITIONS_AHEAD);
END $$;
"""

# What an entry's hash covers: every column but the hash, and the hash before it. jsonb prints in one way only.
# In PL/pgSQL, whose single expression is evaluated without an executor: as an SQL function it cost 10 us more a row.
_HASH = """
CREATE FUNCTION change_log_entry_hash(
    previous bytea, revision bigint, epoch uuid, transaction_id bigint, entity text, entity_id text, version bigint,
    operation text, before jsonb, after jsonb, details jsonb, actor text, actor_name text, source text, client_ip text,
    request_id text, traceparent text, reason text, committed_at timestamptz
) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(previous || convert_to(concat_ws(E'\\x1f',
        revision, epoch, transaction_id, version, (extract(epoch FROM committed_at) * 1000000)::bigint,
        coalesce(before::text, ''), coalesce(after::text, ''), coalesce(details::text, ''),
        to_jsonb(ARRAY[entity, entity_id, operation, actor, actor_name, source, client_ip, request_id, traceparent,
                       reason])::text), 'UTF8'));
END $$;
"""

# The last entry, read under the log's lock, which is held until the commit that follows. A function of its own, because
# its plan must be an index scan even while the log is empty, and a setting on a function is paid at every call.
_HEAD = """
CREATE FUNCTION change_log_lock_head() RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    log_epoch uuid;
    last_revision bigint;
    last_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 1);
    SELECT i.epoch INTO STRICT log_epoch FROM change_log_identity i;
    SELECT l.revision, l.hash INTO last_revision, last_hash FROM change_log l ORDER BY l.revision DESC LIMIT 1;
    RETURN coalesce(last_revision, 0) || ' ' || log_epoch || ' '
        || encode(coalesce(last_hash, sha256(convert_to(log_epoch::text, 'UTF8'))), 'hex');
END $$;
"""

# Append one entry and answer its revision. Called by deferred triggers.
_APPEND = """
CREATE FUNCTION change_log_append(
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
BEGIN
    IF head IS NULL THEN
        head := change_log_lock_head();
    END IF;
    actor := coalesce(actor, '');
    actor_name := coalesce(actor_name, '');
    client_ip := coalesce(client_ip, '');
    request_id := coalesce(request_id, '');
    traceparent := coalesce(traceparent, '');
    reason := coalesce(reason, '');
    this_revision := split_part(head, ' ', 1)::bigint + 1;
    IF this_revision % MAKE_ROOM_EVERY = 0 THEN
        PERFORM change_log_ensure_partitions(PARTITIONS_AHEAD);
    END IF;
    log_epoch := split_part(head, ' ', 2)::uuid;
    entry_hash := change_log_entry_hash(decode(split_part(head, ' ', 3), 'hex'), this_revision, log_epoch, xid, entity,
        entity_id, version, operation, before, after, details, actor, actor_name, source, client_ip, request_id,
        traceparent, reason, now_at);
    INSERT INTO change_log VALUES (this_revision, log_epoch, xid, entity, entity_id, version, operation, before, after,
        details, actor, actor_name, source, client_ip, request_id, traceparent, reason, now_at, entry_hash);
    -- An assignment, not PERFORM, which would start an executor.
    head := set_config('partstream.log_head',
        this_revision || ' ' || log_epoch || ' ' || encode(entry_hash, 'hex'), true);
    RETURN this_revision;
END $$;
"""

# Fire what is deferred and answer the last revision given to this transaction; NULL when it changed nothing.
_SEAL = """
CREATE FUNCTION change_log_seal() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN nullif(split_part(coalesce(current_setting('partstream.log_head', true), ''), ' ', 1), '')::bigint;
END $$;
"""

_STATEMENTS = (_IDENTITY, _TABLE, _BEGIN_EPOCH, _APPEND_ONLY, _PARTITIONS, _RESIZE, _HASH, _HEAD, _APPEND, _SEAL)


def change_log_ddl() -> str:
    """The statements that make a log."""
    text = "\n".join((*_STATEMENTS, RETENTION))
    return (
        text.replace("PARTITION_REVISIONS", str(PARTITION_REVISIONS))
        .replace("PARTITIONS_AHEAD", str(PARTITIONS_AHEAD))
        .replace("MAKE_ROOM_EVERY", str(MAKE_ROOM_EVERY))
    )


CHANGE_LOG = change_log_ddl()
