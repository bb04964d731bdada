"""The triggers of levels and locations, for a log whose entries may be staged before its lock is taken."""

# As before, except for the check of the location at the end.
STOCK_LEVEL_LOG = """
CREATE OR REPLACE FUNCTION stock_level_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    old_version bigint := 0;
    old_on_hand bigint := 0;
    old_reserved bigint := 0;
    old_state jsonb;
    movements jsonb;
    is_sound boolean;
    last stock_movement;
    revision bigint;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.version = NEW.version AND OLD.* IS NOT DISTINCT FROM NEW.* THEN
            RETURN NULL;
        END IF;
        IF OLD.part_id <> NEW.part_id OR OLD.location_id <> NEW.location_id THEN
            RAISE EXCEPTION 'a level keeps its part and location'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'identity_never_changes', TABLE = 'stock_level';
        END IF;
        IF OLD.archived_at IS NOT NULL AND NEW.archived_at IS NOT NULL
           AND (OLD.on_hand <> NEW.on_hand OR OLD.reserved <> NEW.reserved) THEN
            RAISE EXCEPTION 'the archived level %/% does not move: restore it first', NEW.part_id, NEW.location_id
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'archived_level_does_not_move',
                      TABLE = 'stock_level';
        END IF;
        old_version := OLD.version;
        old_on_hand := OLD.on_hand;
        old_reserved := OLD.reserved;
        old_state := to_jsonb(OLD);
    END IF;
    SELECT * INTO last FROM stock_movement s
    WHERE s.part_id = NEW.part_id AND s.location_id = NEW.location_id AND s.version = NEW.version;
    IF NEW.version = old_version + 1 THEN
        movements := jsonb_build_array(to_jsonb(last));
        is_sound := last.on_hand_after = old_on_hand + last.on_hand_delta
            AND last.reserved_after = old_reserved + last.reserved_delta;
    ELSE
        SELECT jsonb_agg(to_jsonb(c.movement) ORDER BY (c.movement).version),
               bool_and(c.is_chained) AND count(*) = NEW.version - old_version
        INTO movements, is_sound
        FROM (SELECT s AS movement,
                     s.on_hand_after = lag(s.on_hand_after, 1, old_on_hand) OVER w + s.on_hand_delta
                     AND s.reserved_after = lag(s.reserved_after, 1, old_reserved) OVER w + s.reserved_delta
                     AS is_chained
              FROM stock_movement s
              WHERE s.part_id = NEW.part_id AND s.location_id = NEW.location_id
                    AND s.version > old_version AND s.version <= NEW.version
              WINDOW w AS (ORDER BY s.version)) c;
    END IF;
    IF is_sound IS NOT TRUE OR last.on_hand_after <> NEW.on_hand OR last.reserved_after <> NEW.reserved THEN
        RAISE EXCEPTION 'the ledger of %/% does not lead to version %', NEW.part_id, NEW.location_id, NEW.version
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_matches_level', TABLE = 'stock_level';
    END IF;
    -- An assignment, not PERFORM, which would start an executor for every row.
    revision := change_log_append('stock_level', NEW.part_id || '/' || NEW.location_id, NEW.version,
        CASE WHEN old_version = 0 THEN 'created' ELSE 'updated' END, old_state, to_jsonb(NEW),
        jsonb_build_object('movements', movements), last.actor::text, last.actor_name, last.source, last.client_ip,
        last.request_id, last.traceparent, last.reason);
    -- After the entry: where that took the log's lock, archiving the location cannot slip past. A staged entry has not
    -- taken it (and has no revision yet): the location's row is locked instead.
    IF NEW.on_hand > old_on_hand THEN
        IF revision IS NULL THEN
            PERFORM 1 FROM location l WHERE l.location_id = NEW.location_id FOR SHARE;
        END IF;
        PERFORM 1 FROM location l WHERE l.location_id = NEW.location_id AND l.archived_at IS NOT NULL;
        IF FOUND THEN
            RAISE EXCEPTION 'the location % is archived', NEW.location_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'stock_lies_at_live_locations', TABLE = 'stock_level';
        END IF;
    END IF;
    RETURN NULL;
END $$;
"""

# As before, under the log's lock from the start: stock that another transaction brings meanwhile must be seen.
LOCATION_LOG = """
CREATE OR REPLACE FUNCTION location_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_log_begin_direct();
    PERFORM change_log_append('location', NEW.location_id, NEW.version,
        CASE WHEN TG_OP = 'INSERT' THEN 'created' ELSE 'updated' END,
        CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), NULL,
        NEW.last_updated_by::text, NEW.last_updated_by_name, NEW.source, NEW.client_ip, NEW.request_id,
        NEW.traceparent, '');
    IF NEW.archived_at IS NOT NULL AND EXISTS (
        SELECT 1 FROM stock_level s WHERE s.location_id = NEW.location_id AND s.on_hand > 0) THEN
        RAISE EXCEPTION 'the location % holds stock', NEW.location_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'archived_location_holds_no_stock', TABLE = 'location';
    END IF;
    RETURN NULL;
END $$;
"""

STAGED_LOGGING = (STOCK_LEVEL_LOG, LOCATION_LOG)
