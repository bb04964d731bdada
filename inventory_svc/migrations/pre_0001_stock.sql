-- Create the change log, the tables, their guards, the log triggers and the functions of the writer.

CREATE TABLE change_log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT log_has_one_identity CHECK (only_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    began_at timestamptz NOT NULL DEFAULT now(),
    began_after bigint NOT NULL DEFAULT 0,
    partition_revisions bigint NOT NULL DEFAULT 1000000
        CONSTRAINT partitions_are_not_tiny CHECK (partition_revisions >= 256)
);
INSERT INTO change_log_identity DEFAULT VALUES;

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

CREATE FUNCTION change_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the change log is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_log_is_append_only';
END $$;
CREATE TRIGGER change_log_is_append_only BEFORE UPDATE OR DELETE ON change_log
    FOR EACH ROW EXECUTE FUNCTION change_log_is_append_only();
CREATE TRIGGER change_log_is_not_truncated BEFORE TRUNCATE ON change_log
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_is_append_only();

CREATE FUNCTION change_log_partitions() RETURNS TABLE (partition regclass, lower_bound bigint, upper_bound bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, b.bounds[1]::bigint, b.bounds[2]::bigint
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS bounds
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
SELECT change_log_ensure_partitions(4);

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
    PERFORM change_log_ensure_partitions(4);
END $$;

CREATE FUNCTION change_log_entry_hash(
    previous bytea, revision bigint, epoch uuid, transaction_id bigint, entity text, entity_id text, version bigint,
    operation text, before jsonb, after jsonb, details jsonb, actor text, actor_name text, source text, client_ip text,
    request_id text, traceparent text, reason text, committed_at timestamptz
) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(previous || convert_to(concat_ws(E'\x1f',
        revision, epoch, transaction_id, version, (extract(epoch FROM committed_at) * 1000000)::bigint,
        coalesce(before::text, ''), coalesce(after::text, ''), coalesce(details::text, ''),
        to_jsonb(ARRAY[entity, entity_id, operation, actor, actor_name, source, client_ip, request_id, traceparent,
                       reason])::text), 'UTF8'));
END $$;

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
    IF this_revision % 256 = 0 THEN
        PERFORM change_log_ensure_partitions(4);
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

CREATE FUNCTION change_log_seal() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN nullif(split_part(coalesce(current_setting('partstream.log_head', true), ''), ' ', 1), '')::bigint;
END $$;

CREATE TABLE change_log_follower (
    name text PRIMARY KEY,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT follower_revision_not_negative CHECK (revision >= 0),
    reported_at timestamptz NOT NULL DEFAULT now()
);

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

CREATE TABLE users (
    id uuid NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_given CHECK (username <> ''),
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (id, username) VALUES
    ('00000000-0000-0000-0000-000000000000', 'anonymous'),
    ('00000000-0000-0000-0000-000000000001', 'inventory_svc');

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

CREATE TABLE reservation (
    reservation_id uuid NOT NULL CONSTRAINT reservation_pkey PRIMARY KEY,
    state reservation_state NOT NULL DEFAULT 'held',
    owner_key text NOT NULL DEFAULT '',
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
    CONSTRAINT reservation_ends_after_it_begins CHECK (expires_at > created_at)
) WITH (fillfactor = 80);
CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'held';
CREATE TABLE reservation_line (
    reservation_id uuid NOT NULL CONSTRAINT line_reservation_exists REFERENCES reservation,
    position int NOT NULL CONSTRAINT line_position_positive CHECK (position >= 1),
    part_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    quantity line_units NOT NULL,
    CONSTRAINT reservation_line_pkey PRIMARY KEY (reservation_id, position),
    CONSTRAINT line_level_exists FOREIGN KEY (part_id, location_id) REFERENCES stock_level
);

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

CREATE TABLE request (
    request_id uuid NOT NULL CONSTRAINT request_pkey PRIMARY KEY,
    body_hash bytea NOT NULL,
    response bytea,
    revision bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 60);
ALTER TABLE request ALTER COLUMN response SET STORAGE EXTERNAL;
CREATE INDEX request_by_age ON request USING brin (created_at);

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

CREATE FUNCTION inventory_role_actor() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    role_id uuid := md5('role:' || session_user)::uuid;
BEGIN
    INSERT INTO users (id, username) VALUES (role_id, session_user) ON CONFLICT DO NOTHING;
    RETURN role_id;
END $$;

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

CREATE FUNCTION stock_level_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
    -- After the entry: its lock is held now, so that archiving the location cannot slip past.
    IF NEW.on_hand > old_on_hand THEN
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

CREATE FUNCTION location_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
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

CREATE FUNCTION reservation_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE FUNCTION inventory_open(
    request_ids uuid[], body_hashes bytea[], level_parts text[], level_locations text[], whole_parts text[],
    reservation_ids uuid[], location_ids text[], all_overdue boolean,
    OUT now_at timestamptz,
    OUT taken_id uuid[], OUT taken_hash bytea[], OUT taken_response bytea[], OUT taken_revision bigint[],
    OUT l_part text[], OUT l_location text[], OUT l_on_hand bigint[], OUT l_reserved bigint[],
    OUT l_reorder_point bigint[], OUT l_version bigint[], OUT l_updated_at timestamptz[], OUT l_by uuid[],
    OUT l_by_name text[], OUT l_archived_at timestamptz[],
    OUT r_id uuid[], OUT r_state text[], OUT r_owner_key text[], OUT r_owner_is_user boolean[],
    OUT r_order_reference text[], OUT r_created_at timestamptz[], OUT r_expires_at timestamptz[],
    OUT rl_id uuid[], OUT rl_part text[], OUT rl_location text[], OUT rl_quantity bigint[],
    OUT p_location text[], OUT p_name text[], OUT p_archived_at timestamptz[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    claimed uuid[];
    began timestamptz := clock_timestamp();
BEGIN
    WITH claim AS (
        INSERT INTO request (request_id, body_hash)
        SELECT c.request_id, c.body_hash FROM unnest(request_ids, body_hashes) AS c (request_id, body_hash)
        ORDER BY c.request_id
        ON CONFLICT DO NOTHING RETURNING request_id
    ) SELECT array_agg(request_id) INTO claimed FROM claim;
    IF coalesce(cardinality(claimed), 0) < cardinality(request_ids) THEN
        SELECT array_agg(q.request_id), array_agg(q.body_hash), array_agg(q.response), array_agg(q.revision)
        INTO taken_id, taken_hash, taken_response, taken_revision
        FROM request q WHERE q.request_id = ANY (request_ids) AND NOT q.request_id = ANY (coalesce(claimed, '{}'));
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
        SELECT array_agg(r.reservation_id), array_agg(r.state::text), array_agg(r.owner_key),
               array_agg(r.owner_is_user), array_agg(r.order_reference), array_agg(r.created_at),
               array_agg(r.expires_at)
        INTO r_id, r_state, r_owner_key, r_owner_is_user, r_order_reference, r_created_at, r_expires_at
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

CREATE FUNCTION inventory_write_holds(
    n_id uuid[], n_owner_key text[], n_owner_is_user boolean[], n_order_reference text[], n_line_count int[],
    n_created_at timestamptz[], n_expires_at timestamptz[], n_by uuid[], n_by_name text[], n_client_ip text[],
    n_request_id text[], n_traceparent text[],
    nl_id uuid[], nl_position int[], nl_part text[], nl_location text[], nl_quantity bigint[],
    c_id uuid[], c_state text[], c_expires_at timestamptz[], c_by uuid[], c_by_name text[], c_client_ip text[],
    c_request_id text[], c_traceparent text[], at_time timestamptz
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO reservation (reservation_id, owner_key, owner_is_user, order_reference, line_count, created_at,
                             expires_at, updated_at, last_updated_by, last_updated_by_name, client_ip, request_id,
                             traceparent)
    SELECT n.id, n.owner_key, n.owner_is_user, n.order_reference, n.line_count, n.created_at, n.expires_at, at_time,
           n.by_id, n.by_name, n.client_ip, n.request_id, n.traceparent
    FROM unnest(n_id, n_owner_key, n_owner_is_user, n_order_reference, n_line_count, n_created_at, n_expires_at, n_by,
                n_by_name, n_client_ip, n_request_id, n_traceparent)
         AS n (id, owner_key, owner_is_user, order_reference, line_count, created_at, expires_at, by_id, by_name,
               client_ip, request_id, traceparent);
    INSERT INTO reservation_line (reservation_id, position, part_id, location_id, quantity)
    SELECT * FROM unnest(nl_id, nl_position, nl_part, nl_location, nl_quantity);
    UPDATE reservation r
    SET state = c.state, expires_at = c.expires_at, updated_at = at_time, last_updated_by = c.by_id,
        last_updated_by_name = c.by_name, client_ip = c.client_ip, request_id = c.request_id,
        traceparent = c.traceparent
    FROM unnest(c_id, c_state, c_expires_at, c_by, c_by_name, c_client_ip, c_request_id, c_traceparent)
         AS c (id, state, expires_at, by_id, by_name, client_ip, request_id, traceparent)
    WHERE r.reservation_id = c.id;
END $$;

CREATE FUNCTION inventory_write(
    l_part text[], l_location text[], l_old_version bigint[], l_on_hand bigint[], l_reserved bigint[],
    l_reorder_point bigint[], l_version bigint[], l_updated_at timestamptz[], l_by uuid[], l_by_name text[],
    l_archived_at timestamptz[],
    m_part text[], m_location text[], m_version bigint[], m_kind text[], m_on_hand_delta bigint[],
    m_reserved_delta bigint[], m_on_hand_after bigint[], m_reserved_after bigint[], m_actor uuid[],
    m_actor_name text[], m_client_ip text[], m_request_id text[], m_traceparent text[], m_reason text[],
    m_reservation_id uuid[], m_reverses_version bigint[], m_occurred_at timestamptz[],
    refused_ids uuid[], answer_ids uuid[], answers bytea[]
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
        DELETE FROM request q WHERE q.request_id = ANY (refused_ids);
    END IF;
    revision_now := change_log_seal();
    UPDATE request q SET response = a.response, revision = revision_now
    FROM unnest(answer_ids, answers) AS a (request_id, response) WHERE q.request_id = a.request_id;
    RETURN revision_now;
END $$;

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

INSERT INTO location (location_id, name) VALUES ('main', 'Main warehouse');
