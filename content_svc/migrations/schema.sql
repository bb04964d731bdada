-- The current schema of the content database, for reading and for tests. Migrations create it: docs/migrations.md.
--
-- Each constraint is named for the rule that it enforces. Every committed state of a part is a version, a snapshot and
-- an entry of the change log. A transaction makes at most one version of a part, however many statements it has: the
-- first one numbers the version, and the deferred trigger closes it with the state at commit. In between the version is
-- open: `part_version` has no row with the part's number yet.

\ir ../../changelog/schema.sql

-- ── Functions of constraints and of the search ──────────────────────────────────────────────────────────────────────

-- Return whether specifications are an object of at most 200 scalars.
CREATE FUNCTION specifications_are_scalars(specifications jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$
DECLARE
    names bigint;
    shortest int;
    longest int;
BEGIN
    IF jsonb_typeof(specifications) <> 'object'
        OR jsonb_path_exists(specifications, 'strict $.* ? (@.type() == "object" || @.type() == "array")') THEN
        RETURN false;
    END IF;
    SELECT count(*), coalesce(min(length(name)), 1), coalesce(max(length(name)), 1) INTO names, shortest, longest
    FROM jsonb_object_keys(specifications) AS name;
    RETURN names <= 200 AND shortest >= 1 AND longest <= 200;
END $$;

-- Return whether price breaks are a list of rising quantities with a price each.
CREATE FUNCTION price_breaks_rise(price_breaks jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    step jsonb;
    before numeric := 0;
BEGIN
    IF jsonb_typeof(price_breaks) <> 'array' OR jsonb_array_length(price_breaks) > 50 THEN
        RETURN false;
    END IF;
    FOR step IN SELECT jsonb_array_elements(price_breaks) LOOP
        IF jsonb_typeof(step -> 'from_quantity') IS DISTINCT FROM 'number'
            OR jsonb_typeof(step -> 'unit_price') IS DISTINCT FROM 'string'
            OR step ->> 'unit_price' !~ '^[0-9]{1,12}([.][0-9]{1,9})?$' THEN
            RETURN false;
        END IF;
        IF (step ->> 'from_quantity')::numeric <= before OR (step ->> 'from_quantity')::numeric < 1 THEN
            RETURN false;
        END IF;
        before := (step ->> 'from_quantity')::numeric;
    END LOOP;
    RETURN true;
END $$;

-- Return the text with each Chinese, Japanese or Korean character as a word, because the parser takes a run of them for
-- one word.
CREATE FUNCTION searchable(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(words, '([\u2E80-\u9FFF\uAC00-\uD7AF\uF900-\uFAFF])', ' \1 ', 'g')
$$;

-- Return one form of all spellings of a text: compatibility forms (the micro sign becomes the Greek letter mu, a
-- ligature its letters, full width plain), accents in one code point, lower case, and what case folding joins as well
-- (final sigma, sharp s). Built-in functions only, so that a dump can be restored with an empty search path.
CREATE FUNCTION search_folded(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT normalize(replace(translate(lower(normalize(words, NFKC)), E'\u03C2', E'\u03C3'), E'\u00DF', 'ss'), NFKC)
$$;

-- Return the query for some words. Every word must match: as an English word in any form, or as a prefix of a word.
CREATE FUNCTION part_search_query(words text[]) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$
DECLARE
    word text;
    term tsquery;
    found tsquery := '';
BEGIN
    FOREACH word IN ARRAY words LOOP
        word := searchable(search_folded(word));
        term := plainto_tsquery('english', word)
            || to_tsquery('simple', '''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*');
        found := CASE WHEN numnode(found) = 0 THEN term WHEN numnode(term) = 0 THEN found ELSE found && term END;
    END LOOP;
    RETURN found;
END $$;

-- Format a timestamp as the change log and snapshots do, in any time zone of the session.
CREATE FUNCTION utc_text(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The users and database roles that have written here. A caller without an account is the user `anonymous`.
CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_present CHECK (username <> '')
);

INSERT INTO users (id, username) VALUES ('00000000-0000-0000-0000-000000000000', 'anonymous');

-- Idempotency: claimed before the effect, in its transaction. `response` is NULL only inside that transaction.
CREATE TABLE request (
    request_id uuid,
    body_hash bytea NOT NULL CONSTRAINT body_hash_is_sha256 CHECK (length(body_hash) = 32),
    response bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    principal text COLLATE "C" NOT NULL,
    CONSTRAINT request_pkey PRIMARY KEY (principal, request_id)
);

CREATE INDEX request_by_age ON request (created_at);

-- The tree of categories. `path` holds the names from the top to the category.
CREATE TABLE category (
    category_id text COLLATE "C" CONSTRAINT category_pkey PRIMARY KEY
        CONSTRAINT category_id_form CHECK (category_id ~ '^[a-z0-9-]{1,128}$'),
    parent_id text COLLATE "C" CONSTRAINT category_parent_exists REFERENCES category,
    name text NOT NULL CONSTRAINT category_name_length CHECK (length(name) BETWEEN 1 AND 200 AND name ~ '[^[:space:]]'),
    path text[] NOT NULL CONSTRAINT category_depth_within_16 CHECK (cardinality(path) BETWEEN 1 AND 16),
    position integer NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    updated_by uuid NOT NULL CONSTRAINT category_updated_by_exists REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE INDEX category_by_parent ON category (parent_id);

-- Parts as they are now; `part_version` holds their history.
CREATE TABLE part (
    part_id text COLLATE "C" CONSTRAINT part_pkey PRIMARY KEY
        CONSTRAINT part_id_form CHECK (part_id ~ '^[A-Za-z0-9._-]{1,64}$'),
    category_id text COLLATE "C" NOT NULL CONSTRAINT part_category_exists REFERENCES category,
    title text NOT NULL CONSTRAINT title_length CHECK (length(title) BETWEEN 1 AND 300 AND title ~ '[^[:space:]]'),
    summary text NOT NULL DEFAULT '' CONSTRAINT summary_length CHECK (length(summary) <= 2000),
    description text NOT NULL DEFAULT '' CONSTRAINT description_length CHECK (length(description) <= 100000),
    specifications jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT specifications_are_scalars CHECK (specifications_are_scalars(specifications)),
    price_minor bigint CONSTRAINT price_not_negative CHECK (price_minor BETWEEN 0 AND 9000000000000000),
    cost_minor bigint CONSTRAINT cost_not_negative CHECK (cost_minor BETWEEN 0 AND 9000000000000000),
    currency text CONSTRAINT currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    price_breaks jsonb NOT NULL DEFAULT '[]' CONSTRAINT price_breaks_rise CHECK (price_breaks_rise(price_breaks)),
    status text NOT NULL DEFAULT 'draft'
        CONSTRAINT status_known CHECK (status IN ('draft', 'published', 'archived')),
    mpn text NOT NULL DEFAULT '' CONSTRAINT mpn_length CHECK (length(mpn) <= 200),
    manufacturer text NOT NULL DEFAULT '' CONSTRAINT manufacturer_length CHECK (length(manufacturer) <= 200),
    datasheet_url text NOT NULL DEFAULT ''
        CONSTRAINT datasheet_url_form CHECK (datasheet_url ~ '^(https?://.*)?$' AND length(datasheet_url) <= 2000),
    version bigint NOT NULL DEFAULT 1,
    published_version bigint NOT NULL DEFAULT 0,
    publish_at timestamptz,
    updated_by uuid NOT NULL CONSTRAINT part_updated_by_exists REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', search_folded(part_id || ' ' || mpn)
                                        || ' ' || searchable(search_folded(manufacturer))), 'A')
        || setweight(to_tsvector('simple', searchable(search_folded(title))), 'A')
        || setweight(to_tsvector('english', searchable(search_folded(title))), 'B')
        || setweight(to_tsvector('simple', searchable(search_folded(summary))), 'C')
        || setweight(to_tsvector('english', searchable(search_folded(summary))), 'C')
        || setweight(to_tsvector('simple', searchable(search_folded(left(description, 20000)))), 'D')
        || setweight(to_tsvector('english', searchable(search_folded(left(description, 20000)))), 'D')
    ) STORED,
    CONSTRAINT money_has_currency CHECK (currency IS NOT NULL OR (price_minor IS NULL AND cost_minor IS NULL)),
    CONSTRAINT price_breaks_have_price CHECK (price_minor IS NOT NULL OR price_breaks = '[]'),
    CONSTRAINT part_version_positive CHECK (version >= 1),
    CONSTRAINT published_version_within_version CHECK (published_version BETWEEN 0 AND version)
);

CREATE INDEX part_search ON part USING gin (search);
-- Listings are of live parts of one status; the collation `C` makes their order the same on every server.
CREATE INDEX part_by_id_prefix ON part (lower(part_id) text_pattern_ops);
CREATE INDEX part_by_mpn_prefix ON part (lower(mpn) text_pattern_ops);
CREATE INDEX part_by_category ON part (category_id, status, part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_title ON part (status, lower(title) COLLATE "C", part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_price_rising ON part (status, coalesce(price_minor, 9223372036854775807), part_id)
    WHERE deleted_at IS NULL;
CREATE INDEX part_by_price_falling ON part (status, coalesce(price_minor, -1) DESC, part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_update ON part (status, updated_at DESC, part_id) WHERE deleted_at IS NULL;

CREATE TABLE part_image (
    part_id text COLLATE "C" NOT NULL CONSTRAINT part_image_part_exists REFERENCES part,
    position smallint NOT NULL CONSTRAINT images_at_most_20 CHECK (position BETWEEN 0 AND 19),
    url text NOT NULL CONSTRAINT image_url_form
        CHECK (url ~ '^(https://[^[:space:]]+|/([^/\\[:space:]][^[:space:]]*)?)$' AND length(url) <= 2000),
    alt text NOT NULL DEFAULT '' CONSTRAINT image_alt_length CHECK (length(alt) <= 500),
    width integer NOT NULL DEFAULT 0 CONSTRAINT image_width_not_negative CHECK (width >= 0),
    height integer NOT NULL DEFAULT 0 CONSTRAINT image_height_not_negative CHECK (height >= 0),
    CONSTRAINT part_image_pkey PRIMARY KEY (part_id, position)
);

-- Full snapshots, not differences: a version can be read, and rolled back to, without any other. Snapshots carry the
-- number of their form, so that readers can upgrade older ones.
CREATE TABLE part_version (
    part_id text COLLATE "C" NOT NULL CONSTRAINT part_version_part_exists REFERENCES part,
    version bigint NOT NULL CONSTRAINT part_version_number_positive CHECK (version >= 1),
    content_snapshot jsonb NOT NULL,
    schema_number integer NOT NULL,
    author uuid NOT NULL CONSTRAINT part_version_author_exists REFERENCES users,
    comment text NOT NULL DEFAULT '',
    rolled_back_to bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT part_version_pkey PRIMARY KEY (part_id, version),
    CONSTRAINT rolled_back_to_earlier CHECK (rolled_back_to < version)
);

-- ── Writers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return whether the transaction is one of the service, which names the writer in transaction settings.
CREATE FUNCTION written_by_service() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('partstream.source', true), '') = 'service'
        AND coalesce(current_setting('partstream.actor', true), '') <> ''
$$;

-- Return the user that stands for the database role of this session.
CREATE FUNCTION role_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT md5('role:' || session_user)::uuid
$$;

-- Return the writer. A database role becomes a user when it first writes.
CREATE FUNCTION acting_user() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    role_user uuid;
BEGIN
    IF written_by_service() THEN
        RETURN current_setting('partstream.actor')::uuid;
    END IF;
    role_user := role_user_id();
    INSERT INTO users (id, username) VALUES (role_user, session_user) ON CONFLICT (id) DO NOTHING;
    RETURN role_user;
END $$;

-- Append an entry to the change log for the writer. Settings that a SQL session left behind count only in transactions
-- of the service.
CREATE FUNCTION log_content_change(
    entity text, entity_id text, version bigint, operation text, before jsonb, after jsonb, details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written_by_service() THEN
        PERFORM change_log_append(entity, entity_id, version, operation, before, after, details,
            current_setting('partstream.actor', true), current_setting('partstream.actor_name', true), 'service',
            current_setting('partstream.client_ip', true), current_setting('partstream.request_id', true),
            current_setting('partstream.traceparent', true), current_setting('partstream.reason', true));
    ELSE
        PERFORM change_log_append(entity, entity_id, version, operation, before, after, details,
            role_user_id()::text, session_user::text, 'sql', '', '', '', '');
    END IF;
END $$;

-- Return the names of the fields that differ between two snapshots, sorted; without bookkeeping and derived fields.
CREATE FUNCTION changed_fields(before jsonb, after jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_agg(key ORDER BY key), '[]')
    FROM jsonb_each(after) AS field(key, value)
    WHERE key NOT IN ('version', 'published_version', 'create_time', 'update_time', 'updated_by', 'category_path')
        AND CASE WHEN before IS NULL THEN value NOT IN ('null', '""', '[]', '{}')
                 ELSE before -> key IS DISTINCT FROM value END
$$;

-- Reject the statement. Arguments: the constraint to report and the reason.
CREATE FUNCTION refuse_statement() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_ARGV[0];
END $$;

-- ── Categories ──────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE FUNCTION category_snapshot(c category) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('category_id', c.category_id, 'parent_id', coalesce(c.parent_id, ''), 'name', c.name,
        'path', c.path, 'position', c.position, 'version', c.version,
        'create_time', utc_text(c.created_at), 'update_time', utc_text(c.updated_at),
        'delete_time', utc_text(c.deleted_at))
$$;

-- Return the names from the top to a category. Locks the parent, which must stay live and unchanged until the commit.
CREATE FUNCTION category_path_below(parent text, name text, old_path text[]) RETURNS text[] LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    above category;
BEGIN
    IF parent IS NULL THEN
        RETURN ARRAY[name];
    END IF;
    SELECT * INTO above FROM category WHERE category_id = parent FOR SHARE;
    IF above.category_id IS NULL OR (above.deleted_at IS NOT NULL AND old_path IS NULL) THEN
        RAISE EXCEPTION 'the category % does not exist', parent
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'category_parent_exists';
    END IF;
    RETURN above.path || name;
END $$;

-- Reject a move below itself. Moves within the tree run one at a time: two that are valid alone can form a cycle.
CREATE FUNCTION refuse_category_cycle(moved text, parent text) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    above text := parent;
BEGIN
    PERFORM pg_advisory_xact_lock(7302, 1);
    WHILE above IS NOT NULL LOOP
        IF above = moved THEN
            RAISE EXCEPTION 'the category % cannot be below itself', moved
                USING ERRCODE = 'check_violation', CONSTRAINT = 'category_no_cycle';
        END IF;
        SELECT c.parent_id INTO above FROM category c WHERE c.category_id = above;
    END LOOP;
END $$;

-- Reject the deletion of a category with live parts or categories in it.
CREATE FUNCTION refuse_category_with_dependents(gone text) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM category WHERE parent_id = gone AND deleted_at IS NULL)
        OR EXISTS (SELECT FROM part WHERE category_id = gone AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the category % still holds parts or categories', gone
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'category_has_dependents';
    END IF;
END $$;

-- Number the version and set the path. An update without a change makes no version.
CREATE FUNCTION category_before_write() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        NEW.created_at := clock_timestamp();
        IF NEW.parent_id = NEW.category_id THEN
            PERFORM refuse_category_cycle(NEW.category_id, NEW.parent_id);
        END IF;
        NEW.path := category_path_below(NEW.parent_id, NEW.name, NULL);
    ELSE
        IF NEW.category_id <> OLD.category_id THEN
            RAISE EXCEPTION 'a category keeps its identifier'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'category_id_immutable';
        END IF;
        IF NEW.parent_id IS DISTINCT FROM OLD.parent_id THEN
            PERFORM refuse_category_cycle(NEW.category_id, NEW.parent_id);
        END IF;
        IF NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL THEN
            PERFORM refuse_category_with_dependents(NEW.category_id);
        END IF;
        NEW.path := category_path_below(NEW.parent_id, NEW.name,
            CASE WHEN NEW.parent_id IS NOT DISTINCT FROM OLD.parent_id
                AND (NEW.deleted_at IS NULL) = (OLD.deleted_at IS NULL) THEN OLD.path END);
        NEW.version := OLD.version;
        NEW.created_at := OLD.created_at;
        NEW.updated_at := OLD.updated_at;
        NEW.updated_by := OLD.updated_by;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version + 1;
    END IF;
    NEW.updated_at := clock_timestamp();
    NEW.updated_by := acting_user();
    RETURN NEW;
END $$;

CREATE TRIGGER category_before_write BEFORE INSERT OR UPDATE ON category
    FOR EACH ROW EXECUTE FUNCTION category_before_write();

-- Pass a new path to the categories below; each gets a version and an entry of its own.
CREATE FUNCTION category_path_to_children() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE category SET path = NEW.path || name WHERE parent_id = NEW.category_id;
    RETURN NULL;
END $$;

CREATE TRIGGER category_path_to_children AFTER UPDATE ON category
    FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION category_path_to_children();

CREATE FUNCTION category_log() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'UPDATE' THEN category_snapshot(OLD) END;
    after jsonb := category_snapshot(NEW);
BEGIN
    PERFORM log_content_change('category', NEW.category_id, NEW.version,
        CASE WHEN before IS NULL THEN 'created'
             WHEN before ->> 'delete_time' IS NULL AND after ->> 'delete_time' IS NOT NULL THEN 'deleted'
             ELSE 'updated' END,
        before, after, jsonb_build_object('changed_fields', changed_fields(before, after)));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER category_log_created AFTER INSERT ON category DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION category_log();
CREATE CONSTRAINT TRIGGER category_log_updated AFTER UPDATE ON category DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION category_log();
CREATE TRIGGER category_delete_is_soft BEFORE DELETE ON category
    FOR EACH ROW EXECUTE FUNCTION refuse_statement('category_delete_is_soft', 'set deleted_at instead');
CREATE TRIGGER category_is_not_truncated BEFORE TRUNCATE ON category
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('category_delete_is_soft', 'set deleted_at instead');

-- ── Parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return the images in order, as snapshots hold them. Rejects positions with a gap.
CREATE FUNCTION part_images(of_part text) RETURNS jsonb LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    images jsonb;
    dense boolean;
BEGIN
    SELECT coalesce(jsonb_agg(jsonb_build_object('url', url, 'alt', alt, 'width', width, 'height', height)
                              ORDER BY position), '[]'), coalesce(max(position) + 1 = count(*), true)
    INTO images, dense FROM part_image WHERE part_id = of_part;
    IF NOT dense THEN
        RAISE EXCEPTION 'the pictures of % leave out a position', of_part
            USING ERRCODE = 'check_violation', CONSTRAINT = 'image_positions_dense';
    END IF;
    RETURN images;
END $$;

CREATE FUNCTION part_money(amount_minor bigint, currency text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN amount_minor IS NOT NULL
        THEN jsonb_build_object('amount_minor', amount_minor, 'currency', currency) END
$$;

-- Return the whole part under the field names of the contract.
CREATE FUNCTION part_snapshot(p part) RETURNS jsonb LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    names text[] := (SELECT c.path FROM category c WHERE c.category_id = p.category_id);
    author text := (SELECT u.username FROM users u WHERE u.id = p.updated_by);
BEGIN
    RETURN jsonb_build_object('part_id', p.part_id, 'category_id', p.category_id, 'category_path', names,
        'title', p.title, 'summary', p.summary, 'description', p.description, 'specifications', p.specifications,
        'images', part_images(p.part_id), 'price', part_money(p.price_minor, p.currency),
        'price_breaks', p.price_breaks, 'cost', part_money(p.cost_minor, p.currency), 'status', p.status,
        'mpn', p.mpn, 'manufacturer', p.manufacturer, 'datasheet_url', p.datasheet_url,
        'version', p.version, 'published_version', p.published_version, 'publish_time', utc_text(p.publish_at),
        'create_time', utc_text(p.created_at), 'update_time', utc_text(p.updated_at),
        'updated_by', jsonb_build_object('user_id', p.updated_by, 'username', author),
        'delete_time', utc_text(p.deleted_at));
END $$;

-- Return whether a version has no snapshot yet.
CREATE FUNCTION part_version_is_open(of_part text, number bigint) RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM part_version v WHERE v.part_id = of_part AND v.version = number);
END $$;

CREATE FUNCTION require_live_category(wanted text) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM category c WHERE c.category_id = wanted AND c.deleted_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the category % does not exist', wanted
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'part_category_exists';
    END IF;
END $$;

-- Return the version after a write that found version `present` and requests `wanted`.
CREATE FUNCTION part_next_version(of_part text, present bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF part_version_is_open(of_part, present) THEN
        IF wanted = present THEN
            RETURN present;
        END IF;
    ELSIF wanted IN (present, present + 1) THEN
        RETURN present + 1;
    END IF;
    RAISE EXCEPTION 'version % of % cannot follow %', wanted, of_part, present
        USING ERRCODE = 'check_violation', CONSTRAINT = 'part_version_dense';
END $$;

-- Number the version. A write that changes nothing and requests no version makes none.
CREATE FUNCTION part_before_insert() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM require_live_category(NEW.category_id);
    NEW.version := 1;
    NEW.published_version := (NEW.status = 'published')::int;
    NEW.created_at := clock_timestamp();
    NEW.updated_at := NEW.created_at;
    NEW.updated_by := acting_user();
    RETURN NEW;
END $$;

CREATE FUNCTION part_before_update() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    wanted bigint := NEW.version;
BEGIN
    IF NEW.part_id <> OLD.part_id THEN
        RAISE EXCEPTION 'a part keeps its identifier'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'part_id_immutable';
    END IF;
    NEW.version := OLD.version;
    NEW.published_version := OLD.published_version;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := OLD.updated_at;
    NEW.updated_by := OLD.updated_by;
    NEW.search := OLD.search;  -- computed after this trigger
    IF wanted = OLD.version AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF NEW.deleted_at IS NULL AND (NEW.category_id <> OLD.category_id OR OLD.deleted_at IS NOT NULL) THEN
        PERFORM require_live_category(NEW.category_id);
    END IF;
    NEW.version := part_next_version(NEW.part_id, OLD.version, wanted);
    IF NEW.status = 'published' THEN
        NEW.published_version := NEW.version;
    END IF;
    NEW.updated_at := clock_timestamp();
    NEW.updated_by := acting_user();
    RETURN NEW;
END $$;

CREATE TRIGGER part_before_insert BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION part_before_insert();
CREATE TRIGGER part_before_update BEFORE UPDATE ON part FOR EACH ROW EXECUTE FUNCTION part_before_update();

-- Close the open version with the state at commit: snapshot and log entry. Several statements queue several calls; the
-- first one closes the version for all of them.
CREATE FUNCTION part_log() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
DECLARE
    present part;
    before jsonb;
    after jsonb;
BEGIN
    SELECT * INTO STRICT present FROM part p WHERE p.part_id = NEW.part_id;
    IF NOT part_version_is_open(present.part_id, present.version) THEN
        RETURN NULL;
    END IF;
    IF present.version > 1 THEN
        SELECT v.content_snapshot INTO STRICT before FROM part_version v
        WHERE v.part_id = present.part_id AND v.version = present.version - 1;
    END IF;
    after := part_snapshot(present);
    INSERT INTO part_version (part_id, version, content_snapshot, schema_number, author, comment)
    VALUES (present.part_id, present.version, after, 1, present.updated_by,
        CASE WHEN written_by_service() THEN coalesce(current_setting('partstream.reason', true), '') ELSE '' END);
    PERFORM log_content_change('part', present.part_id, present.version,
        CASE WHEN before IS NULL THEN 'created'
             WHEN before ->> 'delete_time' IS NULL AND after ->> 'delete_time' IS NOT NULL THEN 'deleted'
             ELSE 'updated' END,
        before, after, jsonb_build_object('changed_fields', changed_fields(before, after)));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER part_log_created AFTER INSERT ON part DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION part_log();
CREATE CONSTRAINT TRIGGER part_log_updated AFTER UPDATE ON part DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION part_log();

-- Make a new version of a part whose images changed alone.
CREATE FUNCTION part_image_bump(of_part text) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    present bigint := (SELECT p.version FROM part p WHERE p.part_id = of_part);
    recorded jsonb;
BEGIN
    SELECT v.content_snapshot -> 'images' INTO recorded FROM part_version v
    WHERE v.part_id = of_part AND v.version = present;
    IF recorded IS NOT NULL AND part_images(of_part) <> recorded THEN
        UPDATE part p SET version = p.version + 1 WHERE p.part_id = of_part;
    END IF;
END $$;

CREATE FUNCTION part_image_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM part_image_bump(OLD.part_id);
    END IF;
    IF TG_OP <> 'DELETE' AND (TG_OP = 'INSERT' OR NEW.part_id <> OLD.part_id) THEN
        PERFORM part_image_bump(NEW.part_id);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER part_image_changed AFTER INSERT OR UPDATE OR DELETE ON part_image
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION part_image_changed();
CREATE TRIGGER part_delete_is_soft BEFORE DELETE ON part
    FOR EACH ROW EXECUTE FUNCTION refuse_statement('part_delete_is_soft', 'set deleted_at instead');
CREATE TRIGGER part_is_not_truncated BEFORE TRUNCATE ON part
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('part_delete_is_soft', 'set deleted_at instead');
CREATE TRIGGER part_image_is_not_truncated BEFORE TRUNCATE ON part_image
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('part_image_is_not_truncated', 'delete its rows instead');

-- Versions are created by commits and never change. A version written ahead of its part would pass for the one of the
-- next change, which would then have no entry.
CREATE TRIGGER part_version_is_made_by_commits BEFORE INSERT ON part_version
    FOR EACH ROW WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_statement('part_version_is_made_by_commits', 'a version is made when its part is written');
CREATE TRIGGER part_version_is_append_only BEFORE UPDATE OR DELETE ON part_version
    FOR EACH ROW EXECUTE FUNCTION refuse_statement('part_version_is_append_only', 'history is never rewritten');
CREATE TRIGGER part_version_is_not_truncated BEFORE TRUNCATE ON part_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('part_version_is_append_only', 'history is never rewritten');

-- ── Integrity ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- Return the rows that the log and the versions do not explain: what a superuser leaves who switches triggers off. New
-- names of a category or a user make no version of a part, so that they do not count.
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
        SELECT 'part' AS entity, p.part_id AS entity_id,
               part_snapshot(p) - 'category_path' #- '{updated_by,username}' AS state FROM part AS p
        UNION ALL SELECT 'category', c.category_id, category_snapshot(c) FROM category AS c
    )
    SELECT coalesce(p.entity, n.entity), coalesce(p.entity_id, n.entity_id),
           CASE WHEN p.entity IS NULL THEN 'the row is gone'
                WHEN n.entity IS NULL THEN 'no entry tells of the row'
                ELSE 'the row is not as its last entry says' END
    FROM present AS p FULL JOIN newest AS n ON n.entity = p.entity AND n.entity_id = p.entity_id
    WHERE p.entity IS NULL OR (n.entity IS NULL AND has_all_entries)
       OR p.state <> CASE p.entity WHEN 'part' THEN n.after - 'category_path' #- '{updated_by,username}'
                                   ELSE n.after END;

    RETURN QUERY
    SELECT 'part', p.part_id, 'its versions do not lead to the part'
    FROM part AS p
    LEFT JOIN (SELECT v.part_id, count(*) AS versions, max(v.version) AS newest FROM part_version AS v
               GROUP BY v.part_id) AS v ON v.part_id = p.part_id
    WHERE v.versions IS DISTINCT FROM p.version OR v.newest <> p.version;

    RETURN QUERY
    SELECT 'part', v.part_id, 'version ' || v.version || ' is not what its entry says'
    FROM part_version AS v
    JOIN change_log AS l ON l.entity = 'part' AND l.entity_id = v.part_id AND l.version = v.version
    WHERE l.after <> v.content_snapshot;
END $$;
