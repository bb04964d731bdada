"""Guards of a change log against whoever writes SQL: only a commit appends, and nobody's own names come between.

The owner of a database can take any guard away; what that leaves behind is found by ``integrity``.
"""

from __future__ import annotations

from changelog.schema import MAKE_ROOM_EVERY, PARTITIONS_AHEAD

# Only triggers append: an entry made up by hand, or a call of `change_log_append`, would tell of a change that was
# none. As a condition of the trigger, because it is then looked at without calling a function: no cost was measurable,
# where a function that looked cost 20 of 35 us an entry.
_BY_TRIGGERS = """
CREATE FUNCTION change_log_is_written_by_commits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the change log are written by the commits they tell of'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_written_by_commits';
END $$;
CREATE TRIGGER change_log_is_written_by_commits BEFORE INSERT ON change_log FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION change_log_is_written_by_commits();
"""

# Without its identity nobody could write.
_IDENTITY_STAYS = """
CREATE FUNCTION change_log_identity_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a change log keeps its identity: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_identity_stays';
END $$;
CREATE TRIGGER change_log_identity_stays BEFORE DELETE OR TRUNCATE ON change_log_identity
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_identity_stays();
"""

# The head is believed only from this very transaction: a setting that a session brought along would have made a gap.
# An older snapshot than the log's newest entry cannot see where to go on: the first entry of a REPEATABLE READ
# transaction says so in the words that its client knows to try again at.
_APPEND = """
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
    IF this_revision % MAKE_ROOM_EVERY = 0 THEN
        PERFORM change_log_ensure_partitions(PARTITIONS_AHEAD);
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
"""

# Triggers run under the names of this schema, whatever the session's are: a temporary table called like one of ours
# would have taken the ledger row or the entry of a change in its place. What they call inherits it. Costs nothing where
# a function has a setting already, 5 us a call elsewhere.
PIN_TRIGGERS = """
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
"""

LOG_GUARDS = f"{_BY_TRIGGERS}{_IDENTITY_STAYS}{_APPEND}".replace("PARTITIONS_AHEAD", str(PARTITIONS_AHEAD)).replace(
    "MAKE_ROOM_EVERY", str(MAKE_ROOM_EVERY)
)
