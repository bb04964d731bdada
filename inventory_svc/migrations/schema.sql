-- The current schema of the inventory database, for reading and for tests. Migrations create it: docs/migrations.md.
--
-- Each constraint is named for the rule that it enforces. A rule of one column is a domain: every statement parses the
-- CHECKs of its table again (a single-level write had 14 and took 0.2 ms for them), and a domain's once per session.
--
-- `partstream.source` is `service` on connections of the service. Every other client writes raw SQL: the triggers named
-- `…_by_hand` add the movement, the version and the database role as the actor, so that ledger, balance and version
-- agree. Triggers on `stock_level` have few and short conditions, because every statement parses them again.

\ir ../../changelog/schema.sql

-- ── Domains ─────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE DOMAIN part_identifier AS text COLLATE "C"
    CONSTRAINT part_id_well_formed CHECK (VALUE ~ '^[A-Za-z0-9._-]{1,64}$');
CREATE DOMAIN location_identifier AS text COLLATE "C"
    CONSTRAINT location_id_well_formed CHECK (VALUE ~ '^[A-Za-z0-9._-]{1,64}$');
CREATE DOMAIN units_on_hand AS bigint
    CONSTRAINT on_hand_not_negative CHECK (VALUE >= 0)
    CONSTRAINT on_hand_within_range CHECK (VALUE <= 9000000000000000);
CREATE DOMAIN reorder_units AS bigint CONSTRAINT reorder_point_not_negative CHECK (VALUE >= 0);
CREATE DOMAIN level_version AS bigint CONSTRAINT level_version_positive CHECK (VALUE >= 1);
CREATE DOMAIN line_units AS bigint CONSTRAINT line_quantity_positive CHECK (VALUE >= 1);
CREATE DOMAIN movement_kind AS text CONSTRAINT movement_kind_known CHECK (VALUE IN ('received', 'adjusted', 'counted',
    'reserved', 'released', 'shipped', 'transferred_in', 'transferred_out', 'reversed'));
CREATE DOMAIN reservation_state AS text
    CONSTRAINT reservation_state_known CHECK (VALUE IN ('held', 'committed', 'released', 'expired'));
CREATE DOMAIN change_source AS text CONSTRAINT change_source_known CHECK (VALUE IN ('service', 'sql'));

-- ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The users, services and database roles that have written here.
CREATE TABLE users (
    id uuid NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_given CHECK (username <> ''),
    first_seen_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO users (id, username) VALUES
    ('00000000-0000-0000-0000-000000000000', 'anonymous'),
    ('00000000-0000-0000-0000-000000000001', 'inventory_svc');

-- Places that hold stock. The columns from `last_updated_by` on name the last writer, for the change log.
CREATE TABLE location (
    location_id location_identifier NOT NULL CONSTRAINT location_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT location_name_length CHECK (length(name) BETWEEN 1 AND 200),
    archived_at timestamptz,
    version level_version NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_updated_by uuid NOT NULL CONSTRAINT location_last_updated_by_exists REFERENCES users,
    last_updated_by_name text NOT NULL,
    source change_source NOT NULL DEFAULT 'sql',
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT ''
);

-- The running balance of the ledger. Ids sort by bytes on every server, so that all writers lock in one order. Pages
-- have room for the next version of a row, so that an update touches no index.
CREATE TABLE stock_level (
    part_id part_identifier NOT NULL,
    location_id location_identifier NOT NULL CONSTRAINT stock_level_location_exists REFERENCES location,
    on_hand units_on_hand NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    reorder_point reorder_units NOT NULL DEFAULT 0,
    version level_version NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_updated_by uuid NOT NULL CONSTRAINT level_last_updated_by_exists REFERENCES users,
    last_updated_by_name text NOT NULL,
    archived_at timestamptz,
    CONSTRAINT stock_level_pkey PRIMARY KEY (part_id, location_id),
    CONSTRAINT reserved_within_on_hand CHECK (0 <= reserved AND reserved <= on_hand),
    CONSTRAINT archived_level_holds_no_reservation CHECK (archived_at IS NULL OR reserved = 0)
) WITH (fillfactor = 70);

CREATE INDEX stock_level_by_location ON stock_level (location_id, part_id);

-- Reservations of stock. `line_count` fixes the number of lines, so that none can be added later. The owner of a
-- guest's cart is the hash of its key; `opened_from` and `extensions` bound guest carts.
CREATE TABLE reservation (
    reservation_id uuid NOT NULL CONSTRAINT reservation_pkey PRIMARY KEY,
    state reservation_state NOT NULL DEFAULT 'held',
    owner text NOT NULL DEFAULT '',
    owner_is_user boolean NOT NULL DEFAULT false,
    order_reference text NOT NULL DEFAULT '',
    line_count int NOT NULL CONSTRAINT reservation_has_lines CHECK (line_count >= 1),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    version level_version NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_updated_by uuid NOT NULL CONSTRAINT reservation_last_updated_by_exists REFERENCES users,
    last_updated_by_name text NOT NULL,
    source change_source NOT NULL DEFAULT 'sql',
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    opened_from text NOT NULL DEFAULT '',
    extensions int NOT NULL DEFAULT 0 CONSTRAINT extensions_not_negative CHECK (extensions >= 0),
    CONSTRAINT reservation_ends_after_it_begins CHECK (expires_at > created_at),
    CONSTRAINT cart_key_is_hashed CHECK (owner_is_user OR owner ~ '^([0-9a-f]{64})?$')
) WITH (fillfactor = 80);

CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'held';
CREATE INDEX reservation_by_owner ON reservation (owner, created_at DESC, reservation_id DESC);
CREATE INDEX reservation_held_by_owner ON reservation (owner, expires_at)
    WHERE state = 'held' AND NOT owner_is_user;
CREATE INDEX reservation_held_from ON reservation (opened_from, expires_at)
    WHERE state = 'held' AND NOT owner_is_user;

CREATE TABLE reservation_line (
    reservation_id uuid NOT NULL CONSTRAINT line_reservation_exists REFERENCES reservation,
    position int NOT NULL CONSTRAINT line_position_positive CHECK (position >= 1),
    part_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    quantity line_units NOT NULL,
    CONSTRAINT reservation_line_pkey PRIMARY KEY (reservation_id, position),
    CONSTRAINT line_level_exists FOREIGN KEY (part_id, location_id) REFERENCES stock_level
);

-- The ledger: why each balance is what it is. Append-only.
CREATE TABLE stock_movement (
    part_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    version level_version NOT NULL,
    kind movement_kind NOT NULL,
    on_hand_delta bigint NOT NULL,
    reserved_delta bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    reserved_after bigint NOT NULL,
    actor uuid NOT NULL CONSTRAINT movement_actor_exists REFERENCES users,
    actor_name text NOT NULL,
    source change_source NOT NULL,
    client_ip text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    reservation_id uuid CONSTRAINT movement_reservation_exists REFERENCES reservation,
    reverses_version bigint,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT stock_movement_pkey PRIMARY KEY (part_id, location_id, version),
    CONSTRAINT movement_leaves_sound_balance CHECK (0 <= reserved_after AND reserved_after <= on_hand_after),
    CONSTRAINT movement_is_explained CHECK (
        CASE kind WHEN 'adjusted' THEN reason <> '' AND reverses_version IS NULL
                  WHEN 'counted' THEN reason <> '' AND reverses_version IS NULL
                  WHEN 'reversed' THEN reverses_version IS NOT NULL AND reverses_version < version
                  ELSE reverses_version IS NULL END)
);

CREATE UNIQUE INDEX movement_reversed_once ON stock_movement (part_id, location_id, reverses_version)
    WHERE reverses_version IS NOT NULL;

-- Idempotency: a claim is written before the effect, the response after it, in one transaction. Responses are not
-- compressed: the 100 KB of a batch would take 2 ms.
CREATE TABLE request (
    request_id uuid NOT NULL,
    body_hash bytea NOT NULL,
    response bytea,
    revision bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    principal text COLLATE "C" NOT NULL,
    CONSTRAINT request_pkey PRIMARY KEY (principal, request_id)
) WITH (fillfactor = 60);

ALTER TABLE request ALTER COLUMN response SET STORAGE EXTERNAL;

CREATE INDEX request_by_age ON request USING brin (created_at);

-- Which parts are published, as the content service reports it. Derived from its log, so that this log has no entries
-- of it.
CREATE TABLE part_visibility (
    part_id part_identifier NOT NULL CONSTRAINT part_visibility_pkey PRIMARY KEY,
    published boolean NOT NULL,
    revision bigint NOT NULL CONSTRAINT visibility_revision_not_negative CHECK (revision >= 0)
);

CREATE TABLE part_visibility_position (
    only_row boolean NOT NULL DEFAULT true
        CONSTRAINT part_visibility_position_pkey PRIMARY KEY
        CONSTRAINT visibility_has_one_position CHECK (only_row),
    epoch uuid NOT NULL,
    revision bigint NOT NULL
);

-- ── Guards ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Reject the statement. Arguments: the constraint to report and the reason.
CREATE FUNCTION inventory_refuse() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
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
CREATE TRIGGER identity_never_changes BEFORE UPDATE ON location FOR EACH ROW WHEN (OLD.location_id <> NEW.location_id)
    EXECUTE FUNCTION inventory_refuse('identity_never_changes', 'a location keeps its identifier');
CREATE TRIGGER reservation_is_never_deleted BEFORE DELETE ON reservation FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('reservation_is_never_deleted', 'release the reservation instead');
CREATE TRIGGER reservations_are_not_truncated BEFORE TRUNCATE ON reservation FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('reservation_is_never_deleted', 'release the reservations instead');
CREATE TRIGGER reservation_begins_held BEFORE INSERT ON reservation FOR EACH ROW WHEN (NEW.state <> 'held')
    EXECUTE FUNCTION inventory_refuse('reservation_state_follows_its_life', 'a reservation begins as held');
CREATE TRIGGER reservation_state_follows_its_life BEFORE UPDATE ON reservation FOR EACH ROW WHEN (OLD.state <> 'held')
    EXECUTE FUNCTION inventory_refuse('reservation_state_follows_its_life', 'an ended reservation stays so');
CREATE TRIGGER reservation_keeps_its_lines BEFORE UPDATE ON reservation FOR EACH ROW
    WHEN (OLD.line_count <> NEW.line_count OR OLD.reservation_id <> NEW.reservation_id)
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');
CREATE TRIGGER lines_are_append_only BEFORE UPDATE OR DELETE ON reservation_line FOR EACH ROW
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');
CREATE TRIGGER lines_are_not_truncated BEFORE TRUNCATE ON reservation_line FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_refuse('lines_are_append_only', 'the lines of a reservation never change');

-- Reject movements ahead of the version of their level. Each row is looked up through the primary key: a join with the
-- transition table was planned as a hash join over the whole table.
CREATE FUNCTION stock_movement_follows_level() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
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

-- Reject lines beyond the `line_count` of their reservation.
CREATE FUNCTION reservation_line_is_counted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
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

-- ── Raw SQL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return the user that stands for the database role of this session.
CREATE FUNCTION inventory_role_actor() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    role_id uuid := md5('role:' || session_user)::uuid;
BEGIN
    INSERT INTO users (id, username) VALUES (role_id, session_user) ON CONFLICT DO NOTHING;
    RETURN role_id;
END $$;

-- Set the next version of a level and name the role. The movement follows after the checks of the row.
CREATE FUNCTION stock_level_by_hand() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
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

CREATE TRIGGER level_inserted_by_hand BEFORE INSERT ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_by_hand();
CREATE TRIGGER level_updated_by_hand BEFORE UPDATE ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_by_hand();

-- Add the movement of a level that raw SQL wrote.
CREATE FUNCTION stock_level_ledger_by_hand() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
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

CREATE TRIGGER ledger_of_insert_by_hand AFTER INSERT ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_ledger_by_hand();
CREATE TRIGGER ledger_of_update_by_hand AFTER UPDATE ON stock_level FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION stock_level_ledger_by_hand();

-- Number the versions of locations and reservations, and name the role for raw SQL. An update without a change makes no
-- version.
CREATE FUNCTION inventory_provenance() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
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

CREATE TRIGGER location_provenance BEFORE INSERT OR UPDATE ON location FOR EACH ROW
    EXECUTE FUNCTION inventory_provenance();
CREATE TRIGGER reservation_provenance BEFORE INSERT OR UPDATE ON reservation FOR EACH ROW
    EXECUTE FUNCTION inventory_provenance();

-- Move the stock of the lines of a reservation that raw SQL creates or ends, as the service does.
CREATE FUNCTION reservation_line_by_hand() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE stock_level SET reserved = reserved + NEW.quantity
    WHERE part_id = NEW.part_id AND location_id = NEW.location_id;
    RETURN NULL;
END $$;

CREATE TRIGGER line_inserted_by_hand AFTER INSERT ON reservation_line FOR EACH ROW
    WHEN (current_setting('partstream.source', true) IS DISTINCT FROM 'service')
    EXECUTE FUNCTION reservation_line_by_hand();

CREATE FUNCTION reservation_ended_by_hand() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
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

-- ── Entries of the change log ───────────────────────────────────────────────────────────────────────────────────────
-- Every look-up goes through a primary key, and `enable_seqscan` is off: a plan made while the ledger was empty would
-- scan it for as long as the session lives (measured: 1.6 s per 200 rows).

-- Append one entry per written level, with the movements between the two versions. Rejects a level that its ledger does
-- not lead to. One movement, the common case, is one look-up; a hot level has thousands in one entry, read in one pass.
CREATE FUNCTION stock_level_log() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
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

CREATE CONSTRAINT TRIGGER level_inserted_log AFTER INSERT ON stock_level DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stock_level_log();
CREATE CONSTRAINT TRIGGER level_updated_log AFTER UPDATE ON stock_level DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stock_level_log();

-- Append one entry per written location. Rejects an archived location that holds stock; takes the lock of the log
-- first, so that stock of a concurrent transaction is visible.
CREATE FUNCTION location_log() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
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

CREATE CONSTRAINT TRIGGER location_inserted_log AFTER INSERT ON location DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION location_log();
CREATE CONSTRAINT TRIGGER location_updated_log AFTER UPDATE ON location DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION location_log();

-- Append one entry per written reservation, with its lines. Rejects one that lacks lines.
CREATE FUNCTION reservation_log() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
DECLARE
    lines jsonb;
    found_lines bigint;
BEGIN
    SELECT coalesce(jsonb_agg(jsonb_build_object('part_id', l.part_id, 'location_id', l.location_id,
                                                 'quantity', l.quantity) ORDER BY l.position), '[]'), count(*)
    INTO lines, found_lines FROM reservation_line l WHERE l.reservation_id = NEW.reservation_id;
    IF found_lines <> NEW.line_count THEN
        RAISE EXCEPTION 'the reservation % has % lines, not %', NEW.reservation_id, found_lines, NEW.line_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reservation_has_its_lines', TABLE = 'reservation';
    END IF;
    PERFORM change_log_append('reservation', NEW.reservation_id::text, NEW.version,
        CASE WHEN TG_OP = 'INSERT' THEN 'created' ELSE 'updated' END,
        CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), jsonb_build_object('lines', lines),
        NEW.last_updated_by::text, NEW.last_updated_by_name, NEW.source, NEW.client_ip, NEW.request_id,
        NEW.traceparent, '');
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER reservation_inserted_log AFTER INSERT ON reservation DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION reservation_log();
CREATE CONSTRAINT TRIGGER reservation_updated_log AFTER UPDATE ON reservation DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION reservation_log();

-- Return the rows that the log does not explain, for the integrity check: what a superuser leaves who switches triggers
-- off. Columns that are newer than an entry count as unchanged.
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

-- ── Functions of the writer ─────────────────────────────────────────────────────────────────────────────────────────
-- The two steps of a batch, so that a single request takes few round trips. Arrays go in and out, because a batch is
-- many requests: a thousand rows in one call. Joins are nested loops from the array into a primary key, whatever the
-- statistics are, and plans are generic: a custom plan per call would take 1 ms of a single request.

-- Claim request ids, then lock in one order for all writers (claims, guests, reservations, levels; each by key), then
-- read. Every statement reads what was committed while it waited. Returns one row of arrays. `guests` are the carts and
-- addresses that open a reservation: what each holds is counted under its advisory lock, so that two replicas cannot
-- both grant the last one. Units are added up only of `counted_parts`.
CREATE FUNCTION inventory_open(
    principals text[], request_ids uuid[], body_hashes bytea[], level_parts text[], level_locations text[],
    whole_parts text[], reservation_ids uuid[], location_ids text[], all_overdue boolean, guests text[],
    counted_parts text[],
    OUT now_at timestamptz,
    OUT taken_principal text[], OUT taken_id uuid[], OUT taken_hash bytea[], OUT taken_response bytea[],
    OUT taken_revision bigint[],
    OUT l_part text[], OUT l_location text[], OUT l_on_hand bigint[], OUT l_reserved bigint[],
    OUT l_reorder_point bigint[], OUT l_version bigint[], OUT l_updated_at timestamptz[], OUT l_by uuid[],
    OUT l_by_name text[], OUT l_archived_at timestamptz[],
    OUT r_id uuid[], OUT r_state text[], OUT r_owner text[], OUT r_owner_is_user boolean[],
    OUT r_order_reference text[], OUT r_created_at timestamptz[], OUT r_expires_at timestamptz[],
    OUT r_opened_from text[], OUT r_extensions int[],
    OUT rl_id uuid[], OUT rl_part text[], OUT rl_location text[], OUT rl_quantity bigint[],
    OUT p_location text[], OUT p_name text[], OUT p_archived_at timestamptz[],
    OUT g_guest text[], OUT g_open bigint[],
    OUT gl_guest text[], OUT gl_part text[], OUT gl_location text[], OUT gl_quantity bigint[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    claimed_by text[];
    claimed uuid[];
    began timestamptz := clock_timestamp();
BEGIN
    WITH claim AS (
        INSERT INTO request (principal, request_id, body_hash)
        SELECT c.principal, c.request_id, c.body_hash
        FROM unnest(principals, request_ids, body_hashes) AS c (principal, request_id, body_hash)
        ORDER BY c.principal, c.request_id
        ON CONFLICT DO NOTHING RETURNING principal, request_id
    ) SELECT array_agg(principal), array_agg(request_id) INTO claimed_by, claimed FROM claim;
    IF coalesce(cardinality(claimed), 0) < cardinality(request_ids) THEN
        SELECT array_agg(q.principal), array_agg(q.request_id), array_agg(q.body_hash), array_agg(q.response),
               array_agg(q.revision)
        INTO taken_principal, taken_id, taken_hash, taken_response, taken_revision
        FROM unnest(principals, request_ids) AS c (principal, request_id)
        JOIN request q ON q.principal = c.principal AND q.request_id = c.request_id
        WHERE NOT EXISTS (SELECT FROM unnest(claimed_by, claimed) AS d (principal, request_id)
                          WHERE d.principal = c.principal AND d.request_id = c.request_id);
    END IF;

    -- Before the rows, in one order for all writers, so that two replicas count one after the other.
    IF cardinality(guests) > 0 THEN
        PERFORM pg_advisory_xact_lock(7302, k.key)
        FROM (SELECT DISTINCT hashtext(u.guest) AS key FROM unnest(guests) AS u (guest) ORDER BY key) AS k;
        SELECT array_agg(c.guest), array_agg(c.open) INTO g_guest, g_open
        FROM (SELECT u.guest, (SELECT count(*) FROM reservation r
                               WHERE r.owner = u.guest AND r.state = 'held' AND NOT r.owner_is_user
                                     AND r.expires_at > began)
                              + (SELECT count(*) FROM reservation r
                                 WHERE r.opened_from = u.guest AND r.state = 'held' AND NOT r.owner_is_user
                                       AND r.expires_at > began) AS open
              FROM unnest(guests) AS u (guest)) c;
        IF cardinality(counted_parts) > 0 THEN
            SELECT array_agg(c.guest), array_agg(c.part_id), array_agg(c.location_id), array_agg(c.quantity)
            INTO gl_guest, gl_part, gl_location, gl_quantity
            FROM (SELECT h.guest, l.part_id, l.location_id, sum(l.quantity)::bigint AS quantity
                  FROM (SELECT u.guest, r.reservation_id FROM unnest(guests) AS u (guest)
                        JOIN reservation r ON r.owner = u.guest AND r.state = 'held' AND NOT r.owner_is_user
                        WHERE r.expires_at > began
                        UNION ALL
                        SELECT u.guest, r.reservation_id FROM unnest(guests) AS u (guest)
                        JOIN reservation r ON r.opened_from = u.guest AND r.state = 'held' AND NOT r.owner_is_user
                        WHERE r.expires_at > began) h
                  JOIN reservation_line l ON l.reservation_id = h.reservation_id
                  WHERE l.part_id = ANY (counted_parts)
                  GROUP BY h.guest, l.part_id, l.location_id) c;
        END IF;
    END IF;

    IF EXISTS (SELECT 1 FROM reservation r WHERE r.state = 'held' AND r.expires_at <= began) THEN
        reservation_ids := reservation_ids || ARRAY(
            SELECT r.reservation_id FROM reservation r
            WHERE r.state = 'held' AND r.expires_at <= began
                  AND (all_overdue OR EXISTS (
                      SELECT 1 FROM reservation_line l WHERE l.reservation_id = r.reservation_id
                             AND (l.part_id = ANY (level_parts) OR l.part_id = ANY (whole_parts))))
            ORDER BY r.expires_at LIMIT 500);
    END IF;
    IF cardinality(reservation_ids) > 0 THEN
        SELECT array_agg(r.reservation_id), array_agg(r.state::text), array_agg(r.owner),
               array_agg(r.owner_is_user), array_agg(r.order_reference), array_agg(r.created_at),
               array_agg(r.expires_at), array_agg(r.opened_from), array_agg(r.extensions)
        INTO r_id, r_state, r_owner, r_owner_is_user, r_order_reference, r_created_at, r_expires_at, r_opened_from,
             r_extensions
        FROM (SELECT * FROM reservation v WHERE v.reservation_id = ANY (reservation_ids)
              ORDER BY v.reservation_id FOR NO KEY UPDATE) r;
        SELECT array_agg(l.reservation_id), array_agg(l.part_id), array_agg(l.location_id),
               array_agg(l.quantity::bigint)
        INTO rl_id, rl_part, rl_location, rl_quantity
        FROM (SELECT * FROM reservation_line v WHERE v.reservation_id = ANY (reservation_ids)
              ORDER BY v.reservation_id, v.position) l;
    END IF;
    IF cardinality(whole_parts) > 0 OR rl_id IS NOT NULL THEN
        SELECT array_agg(k.part_id), array_agg(k.location_id) INTO level_parts, level_locations
        FROM (SELECT * FROM unnest(level_parts, level_locations) AS given (part_id, location_id)
              UNION SELECT * FROM unnest(rl_part, rl_location) AS held (part_id, location_id)
              UNION SELECT s.part_id, s.location_id FROM stock_level s WHERE s.part_id = ANY (whole_parts)) k;
    END IF;

    SELECT array_agg(s.part_id::text), array_agg(s.location_id::text), array_agg(s.on_hand::bigint),
           array_agg(s.reserved), array_agg(s.reorder_point::bigint), array_agg(s.version::bigint),
           array_agg(s.updated_at), array_agg(s.last_updated_by), array_agg(s.last_updated_by_name),
           array_agg(s.archived_at)
    INTO l_part, l_location, l_on_hand, l_reserved, l_reorder_point, l_version, l_updated_at, l_by, l_by_name,
         l_archived_at
    FROM (SELECT v.* FROM unnest(level_parts, level_locations) AS k (part_id, location_id)
          JOIN stock_level v ON v.part_id = k.part_id AND v.location_id = k.location_id
          ORDER BY v.part_id, v.location_id FOR NO KEY UPDATE OF v) s;
    IF cardinality(location_ids) > 0 THEN
        SELECT array_agg(p.location_id::text), array_agg(p.name), array_agg(p.archived_at)
        INTO p_location, p_name, p_archived_at
        FROM location p WHERE p.location_id = ANY (location_ids);
    END IF;
    now_at := clock_timestamp();
END $$;

-- Write created and changed reservations. Only batches that have any call it.
CREATE FUNCTION inventory_write_holds(
    n_id uuid[], n_owner text[], n_owner_is_user boolean[], n_order_reference text[], n_line_count int[],
    n_created_at timestamptz[], n_expires_at timestamptz[], n_opened_from text[], n_extensions int[], n_by uuid[],
    n_by_name text[], n_client_ip text[], n_request_id text[], n_traceparent text[],
    nl_id uuid[], nl_position int[], nl_part text[], nl_location text[], nl_quantity bigint[],
    c_id uuid[], c_state text[], c_expires_at timestamptz[], c_owner text[], c_owner_is_user boolean[],
    c_extensions int[], c_by uuid[], c_by_name text[], c_client_ip text[],
    c_request_id text[], c_traceparent text[], at_time timestamptz
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO reservation (reservation_id, owner, owner_is_user, order_reference, line_count, created_at, expires_at,
                             opened_from, extensions, updated_at, last_updated_by, last_updated_by_name, client_ip,
                             request_id, traceparent)
    SELECT n.id, n.owner, n.owner_is_user, n.order_reference, n.line_count, n.created_at, n.expires_at, n.opened_from,
           n.extensions, at_time, n.by_id, n.by_name, n.client_ip, n.request_id, n.traceparent
    FROM unnest(n_id, n_owner, n_owner_is_user, n_order_reference, n_line_count, n_created_at, n_expires_at,
                n_opened_from, n_extensions, n_by, n_by_name, n_client_ip, n_request_id, n_traceparent)
         AS n (id, owner, owner_is_user, order_reference, line_count, created_at, expires_at, opened_from, extensions,
               by_id, by_name, client_ip, request_id, traceparent);
    INSERT INTO reservation_line (reservation_id, position, part_id, location_id, quantity)
    SELECT * FROM unnest(nl_id, nl_position, nl_part, nl_location, nl_quantity);
    UPDATE reservation r
    SET state = c.state, expires_at = c.expires_at, owner = c.owner, owner_is_user = c.owner_is_user,
        extensions = c.extensions, updated_at = at_time, last_updated_by = c.by_id, last_updated_by_name = c.by_name,
        client_ip = c.client_ip, request_id = c.request_id, traceparent = c.traceparent
    FROM unnest(c_id, c_state, c_expires_at, c_owner, c_owner_is_user, c_extensions, c_by, c_by_name, c_client_ip,
                c_request_id, c_traceparent)
         AS c (id, state, expires_at, owner, owner_is_user, extensions, by_id, by_name, client_ip, request_id,
               traceparent)
    WHERE r.reservation_id = c.id;
END $$;

-- Write levels and movements, seal the change log, and store the responses. Returns the revision.
CREATE FUNCTION inventory_write(
    l_part text[], l_location text[], l_old_version bigint[], l_on_hand bigint[], l_reserved bigint[],
    l_reorder_point bigint[], l_version bigint[], l_updated_at timestamptz[], l_by uuid[], l_by_name text[],
    l_archived_at timestamptz[],
    m_part text[], m_location text[], m_version bigint[], m_kind text[], m_on_hand_delta bigint[],
    m_reserved_delta bigint[], m_on_hand_after bigint[], m_reserved_after bigint[], m_actor uuid[],
    m_actor_name text[], m_client_ip text[], m_request_id text[], m_traceparent text[], m_reason text[],
    m_reservation_id uuid[], m_reverses_version bigint[], m_occurred_at timestamptz[],
    refused_principals text[], refused_ids uuid[], answer_principals text[], answer_ids uuid[], answers bytea[]
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    revision_now bigint;
    written bigint;
    inserted bigint := 0;
BEGIN
    UPDATE stock_level s
    SET on_hand = l.on_hand, reserved = l.reserved, reorder_point = l.reorder_point, version = l.version,
        updated_at = l.updated_at, last_updated_by = l.by_id, last_updated_by_name = l.by_name,
        archived_at = l.archived_at
    FROM unnest(l_part, l_location, l_old_version, l_on_hand, l_reserved, l_reorder_point, l_version, l_updated_at,
                l_by, l_by_name, l_archived_at)
         AS l (part_id, location_id, old_version, on_hand, reserved, reorder_point, version, updated_at, by_id,
               by_name, archived_at)
    WHERE s.part_id = l.part_id AND s.location_id = l.location_id AND s.version = l.old_version;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < cardinality(l_part) THEN
        INSERT INTO stock_level (part_id, location_id, on_hand, reserved, reorder_point, version, updated_at,
                                 last_updated_by, last_updated_by_name, archived_at)
        SELECT l.part_id, l.location_id, l.on_hand, l.reserved, l.reorder_point, l.version, l.updated_at, l.by_id,
               l.by_name, l.archived_at
        FROM unnest(l_part, l_location, l_old_version, l_on_hand, l_reserved, l_reorder_point, l_version, l_updated_at,
                    l_by, l_by_name, l_archived_at)
             AS l (part_id, location_id, old_version, on_hand, reserved, reorder_point, version, updated_at, by_id,
                   by_name, archived_at)
        WHERE l.old_version = 0;
        GET DIAGNOSTICS inserted = ROW_COUNT;
    END IF;
    IF written + inserted <> cardinality(l_part) THEN
        RAISE EXCEPTION 'a level is not at the version that was locked'
            USING ERRCODE = 'serialization_failure', CONSTRAINT = 'level_is_as_locked', TABLE = 'stock_level';
    END IF;
    INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                                reserved_after, actor, actor_name, source, client_ip, request_id, traceparent, reason,
                                reservation_id, reverses_version, occurred_at)
    SELECT m.part_id, m.location_id, m.version, m.kind, m.on_hand_delta, m.reserved_delta, m.on_hand_after,
           m.reserved_after, m.actor, m.actor_name, 'service', m.client_ip, m.request_id, m.traceparent, m.reason,
           m.reservation_id, m.reverses_version, m.occurred_at
    FROM unnest(m_part, m_location, m_version, m_kind, m_on_hand_delta, m_reserved_delta, m_on_hand_after,
                m_reserved_after, m_actor, m_actor_name, m_client_ip, m_request_id, m_traceparent, m_reason,
                m_reservation_id, m_reverses_version, m_occurred_at)
         AS m (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after, reserved_after,
               actor, actor_name, client_ip, request_id, traceparent, reason, reservation_id, reverses_version,
               occurred_at);
    IF cardinality(refused_ids) > 0 THEN
        DELETE FROM request q USING unnest(refused_principals, refused_ids) AS r (principal, request_id)
        WHERE q.principal = r.principal AND q.request_id = r.request_id;
    END IF;
    revision_now := change_log_seal();
    UPDATE request q SET response = a.response, revision = revision_now
    FROM unnest(answer_principals, answer_ids, answers) AS a (principal, request_id, response)
    WHERE q.principal = a.principal AND q.request_id = a.request_id;
    RETURN revision_now;
END $$;

-- Write one change of one level in one statement: claim the request, move the level if it has the version that was
-- read, seal the log, store the response. Takes its locks in the order of `inventory_open`. Raises when the claim
-- exists or the level has another version. Processes of release 0.2.0 call it.
CREATE FUNCTION inventory_write_one(
    n_principal text, n_request_id uuid, n_body_hash bytea, n_answer bytea,
    n_part text, n_location text, n_on_hand bigint, n_reserved bigint, n_version bigint, n_at timestamptz, n_by uuid,
    n_by_name text, n_kind text, n_on_hand_delta bigint, n_client_ip text, n_traceparent text, n_reason text
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    revision_now bigint;
BEGIN
    INSERT INTO request (principal, request_id, body_hash) VALUES (n_principal, n_request_id, n_body_hash);
    UPDATE stock_level s
    SET on_hand = n_on_hand, reserved = n_reserved, version = n_version, updated_at = n_at, last_updated_by = n_by,
        last_updated_by_name = n_by_name
    WHERE s.part_id = n_part AND s.location_id = n_location AND s.version = n_version - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the level is not at the version that was read'
            USING ERRCODE = 'serialization_failure', CONSTRAINT = 'level_is_as_locked', TABLE = 'stock_level';
    END IF;
    INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                                reserved_after, actor, actor_name, source, client_ip, request_id, traceparent, reason,
                                occurred_at)
    VALUES (n_part, n_location, n_version, n_kind, n_on_hand_delta, 0, n_on_hand, n_reserved, n_by, n_by_name,
            'service', n_client_ip, n_request_id::text, n_traceparent, n_reason, n_at);
    revision_now := change_log_seal();
    UPDATE request q SET response = n_answer, revision = revision_now
    WHERE q.principal = n_principal AND q.request_id = n_request_id;
    RETURN revision_now;
END $$;

-- The same, but returns NULL with nothing written instead of raising: PostgreSQL logs every error, and a repeated
-- request is none.
CREATE FUNCTION inventory_write_one_if(
    n_principal text, n_request_id uuid, n_body_hash bytea, n_answer bytea,
    n_part text, n_location text, n_on_hand bigint, n_reserved bigint, n_version bigint, n_at timestamptz, n_by uuid,
    n_by_name text, n_kind text, n_on_hand_delta bigint, n_client_ip text, n_traceparent text, n_reason text
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    revision_now bigint;
BEGIN
    INSERT INTO request (principal, request_id, body_hash) VALUES (n_principal, n_request_id, n_body_hash)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE stock_level s
    SET on_hand = n_on_hand, reserved = n_reserved, version = n_version, updated_at = n_at, last_updated_by = n_by,
        last_updated_by_name = n_by_name
    WHERE s.part_id = n_part AND s.location_id = n_location AND s.version = n_version - 1;
    IF NOT FOUND THEN
        DELETE FROM request q WHERE q.principal = n_principal AND q.request_id = n_request_id;
        RETURN NULL;
    END IF;
    INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                                reserved_after, actor, actor_name, source, client_ip, request_id, traceparent, reason,
                                occurred_at)
    VALUES (n_part, n_location, n_version, n_kind, n_on_hand_delta, 0, n_on_hand, n_reserved, n_by, n_by_name,
            'service', n_client_ip, n_request_id::text, n_traceparent, n_reason, n_at);
    revision_now := change_log_seal();
    UPDATE request q SET response = n_answer, revision = revision_now
    WHERE q.principal = n_principal AND q.request_id = n_request_id;
    RETURN revision_now;
END $$;

-- Return the version that a level had at a point in time; 0 before its first. Versions are dense and their times never
-- decrease, so that a binary search over the primary key needs no index by time: 20 look-ups in a million movements.
CREATE FUNCTION inventory_version_at(part text, location text, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    low bigint := 0;
    high bigint := coalesce((SELECT s.version FROM stock_level s
                             WHERE s.part_id = part AND s.location_id = location), 0);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT m.occurred_at FROM stock_movement m
            WHERE m.part_id = part AND m.location_id = location AND m.version = middle) <= moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- `main` exists from the start. After the triggers, so that it has its entry in the log.
INSERT INTO location (location_id, name) VALUES ('main', 'Main warehouse');
