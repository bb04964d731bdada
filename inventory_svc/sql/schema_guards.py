"""What the database refuses, and what it adds to a change made by hand, so that ledger, balance and version agree.

``partstream.source`` is ``service`` on the services' connections. Everybody else writes raw SQL: the triggers named
``…_by_hand`` then fill in the ledger row, the version and the database role as the actor. Conditions of triggers on
``stock_level`` are few and short, because every statement parses them anew: what can wait for the end of the
transaction is checked where the change log is written.
"""

# Refuse a statement outright: for tables that only grow and rows that are never deleted.
REFUSE = """
CREATE FUNCTION inventory_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_ARGV[0], TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON stock_movement FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('ledger_is_append_only', 'the ledger is append-only');
CREATE TRIGGER ledger_is_not_truncated BEFORE TRUNCATE ON stock_movement FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('ledger_is_append_only', 'the ledger is append-only');
CREATE TRIGGER level_is_never_deleted BEFORE DELETE ON stock_level FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('level_is_never_deleted', 'archive the level instead');
CREATE TRIGGER levels_are_not_truncated BEFORE TRUNCATE ON stock_level FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('level_is_never_deleted', 'archive the levels instead');
CREATE TRIGGER location_is_never_deleted BEFORE DELETE ON location FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('location_is_never_deleted', 'archive the location instead');
CREATE TRIGGER locations_are_not_truncated BEFORE TRUNCATE ON location FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('location_is_never_deleted', 'archive the locations instead');
CREATE TRIGGER reservation_is_never_deleted BEFORE DELETE ON reservation FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('reservation_is_never_deleted', 'release the reservation instead');
CREATE TRIGGER reservations_are_not_truncated BEFORE TRUNCATE ON reservation FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('reservation_is_never_deleted', 'release the reservations instead');
CREATE TRIGGER lines_are_append_only BEFORE UPDATE OR DELETE ON reservation_line FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');
CREATE TRIGGER lines_are_not_truncated BEFORE TRUNCATE ON reservation_line FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');
CREATE TRIGGER identity_never_changes BEFORE UPDATE ON location FOR EACH ROW WHEN (OLD.location_id <> NEW.location_id)
    EXECUTE FUNCTION inventory_refuse('identity_never_changes', 'a location keeps its identifier');
"""

# The row of `users` that stands for the database role of this session.
ROLE_ACTOR = """
CREATE FUNCTION inventory_role_actor() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    role_id uuid := md5('role:' || session_user)::uuid;
BEGIN
    INSERT INTO users (id, username) VALUES (role_id, session_user) ON CONFLICT DO NOTHING;
    RETURN role_id;
END $$;
"""

# A level written by hand: the version rises by one and the role is named. The movement follows after the row's checks.
LEVEL_BY_HAND = """
CREATE FUNCTION stock_level_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        NEW.updated_at := clock_timestamp();
    ELSIF OLD.* IS NOT DISTINCT FROM NEW.* THEN
        RETURN NEW;
    ELSE
        NEW.version := OLD.version + 1;
        NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at);
    END IF;
    NEW.last_updated_by := inventory_role_actor();
    NEW.last_updated_by_name := session_user;
    RETURN NEW;
END $$;
CREATE FUNCTION stock_level_ledger_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    on_hand_before bigint := 0;
    reserved_before bigint := 0;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.version = NEW.version THEN
            RETURN NULL;
        END IF;
        on_hand_before := OLD.on_hand;
        reserved_before := OLD.reserved;
    END IF;
    INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                                reserved_after, actor, actor_name, source, reason, occurred_at)
    VALUES (NEW.part_id, NEW.location_id, NEW.version, 'adjusted', NEW.on_hand - on_hand_before,
            NEW.reserved - reserved_before, NEW.on_hand, NEW.reserved, NEW.last_updated_by, NEW.last_updated_by_name,
            'sql', coalesce(nullif(current_setting('partstream.reason', true), ''), 'changed by SQL'), NEW.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER level_inserted_by_hand BEFORE INSERT ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_by_hand();
CREATE TRIGGER level_updated_by_hand BEFORE UPDATE ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_by_hand();
CREATE TRIGGER ledger_of_insert_by_hand AFTER INSERT ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_ledger_by_hand();
CREATE TRIGGER ledger_of_update_by_hand AFTER UPDATE ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_ledger_by_hand();
"""

# Locations and reservations: every update is a version; by hand, the role is named. What has ended stays ended.
PROVENANCE = """
CREATE FUNCTION inventory_provenance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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
CREATE TRIGGER location_provenance BEFORE INSERT OR UPDATE ON location FOR EACH ROW
    EXECUTE FUNCTION inventory_provenance();
CREATE TRIGGER reservation_provenance BEFORE INSERT OR UPDATE ON reservation FOR EACH ROW
    EXECUTE FUNCTION inventory_provenance();
CREATE TRIGGER reservation_begins_held BEFORE INSERT ON reservation FOR EACH ROW WHEN (NEW.state <> 'held')
    EXECUTE FUNCTION inventory_refuse('reservation_state_follows_its_life', 'a reservation begins as held');
CREATE TRIGGER reservation_state_follows_its_life BEFORE UPDATE ON reservation FOR EACH ROW WHEN (OLD.state <> 'held')
    EXECUTE FUNCTION inventory_refuse('reservation_state_follows_its_life', 'an ended reservation stays so');
CREATE TRIGGER reservation_keeps_its_lines BEFORE UPDATE ON reservation FOR EACH ROW
    WHEN (OLD.line_count <> NEW.line_count OR OLD.reservation_id <> NEW.reservation_id)
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');
"""

# A reservation made or ended by hand moves the stock of its lines, as the service would.
RESERVATION_BY_HAND = """
CREATE FUNCTION reservation_line_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stock_level SET reserved = reserved + NEW.quantity
    WHERE part_id = NEW.part_id AND location_id = NEW.location_id;
    RETURN NULL;
END $$;
CREATE TRIGGER line_inserted_by_hand AFTER INSERT ON reservation_line FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION reservation_line_by_hand();
CREATE FUNCTION reservation_ended_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stock_level s
    SET reserved = s.reserved - l.quantity,
        on_hand = s.on_hand - CASE WHEN NEW.state = 'committed' THEN l.quantity ELSE 0 END
    FROM (SELECT part_id, location_id, sum(quantity)::bigint AS quantity FROM reservation_line
          WHERE reservation_id = NEW.reservation_id GROUP BY part_id, location_id) l
    WHERE s.part_id = l.part_id AND s.location_id = l.location_id;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_ended_by_hand AFTER UPDATE ON reservation FOR EACH ROW
    WHEN (OLD.state = 'held' AND NEW.state <> 'held'
          AND current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION reservation_ended_by_hand();
"""

# A ledger row must belong to a level that already has its version: no row runs ahead. Looked up row by row through the
# primary key; joining the transition table was planned as a hash join over the whole table.
LEDGER_FOLLOWS_LEVEL = """
CREATE FUNCTION stock_movement_follows_level() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    ahead text;
BEGIN
    SELECT a.part_id || '/' || a.location_id || ' version ' || a.version INTO ahead FROM added a
    WHERE coalesce((SELECT l.version FROM stock_level l
                    WHERE l.part_id = a.part_id AND l.location_id = a.location_id), 0) < a.version LIMIT 1;
    IF ahead IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger row % belongs to no version of its level', ahead
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_matches_level', TABLE = 'stock_movement';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_follows_level AFTER INSERT ON stock_movement REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION stock_movement_follows_level();
CREATE FUNCTION reservation_line_is_counted() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added a WHERE a.position >
               (SELECT r.line_count FROM reservation r WHERE r.reservation_id = a.reservation_id)) THEN
        RAISE EXCEPTION 'a line is more than its reservation says it has'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reservation_has_its_lines', TABLE = 'reservation_line';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_line_is_counted AFTER INSERT ON reservation_line REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION reservation_line_is_counted();
"""

GUARDS = (REFUSE, ROLE_ACTOR, LEVEL_BY_HAND, PROVENANCE, RESERVATION_BY_HAND, LEDGER_FOLLOWS_LEVEL)
