"""The tables of the inventory database. Each constraint is named for the rule it keeps.

Rules of a single column are domains: a table's CHECK is parsed anew by every statement that writes to the table (a lone
change had 14 of them and spent 0.2 ms on it), a domain's once per session.
"""

# What columns may hold.
DOMAINS = """
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
"""

# The people, services and database roles that have written here. The two services' own rows exist from the start.
USERS = """
CREATE TABLE users (
    id uuid NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_given CHECK (username <> ''),
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (id, username) VALUES
    ('00000000-0000-0000-0000-000000000000', 'anonymous'),
    ('00000000-0000-0000-0000-000000000001', 'inventory_svc');
"""

# Places that hold stock. The last columns say who changed the row last, for the change log.
LOCATION = """
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
"""

# The running balance of the ledger. Ids sort by bytes everywhere, so that all writers lock in one order; pages keep
# room for the next version of a row, so that an update touches no index.
STOCK_LEVEL = """
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
"""

# Holds of stock. `line_count` says how many lines belong to it, so that none can be added later.
RESERVATION = """
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
"""

# The ledger: the truth about why. Written once, never changed.
STOCK_MOVEMENT = """
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
"""

# Idempotency: a claim is written before the effect, the answer after it, in one transaction. Answers are not
# compressed: a batch's answer of 100 KB would cost 2 ms.
REQUEST = """
CREATE TABLE request (
    request_id uuid NOT NULL CONSTRAINT request_pkey PRIMARY KEY,
    body_hash bytea NOT NULL,
    response bytea,
    revision bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 60);
ALTER TABLE request ALTER COLUMN response SET STORAGE EXTERNAL;
CREATE INDEX request_by_age ON request USING brin (created_at);
"""

TABLES = (DOMAINS, USERS, LOCATION, STOCK_LEVEL, RESERVATION, STOCK_MOVEMENT, REQUEST)

# `main` exists from the start. Run after the triggers, so that the change log has it.
MAIN_LOCATION = "INSERT INTO location (location_id, name) VALUES ('main', 'Main warehouse');"
