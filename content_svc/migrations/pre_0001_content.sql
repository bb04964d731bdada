-- Create the change log, the tables, their rules and the triggers of categories and parts.

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

-- The parser takes a run of Chinese, Japanese or Korean characters for one word: make each character a word.
CREATE FUNCTION searchable(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(words, '([\u2E80-\u9FFF\uAC00-\uD7AF\uF900-\uFAFF])', ' \1 ', 'g')
$$;

-- Every word must match: as an English word in any form, or as the beginning of a word.
CREATE FUNCTION part_search_query(words text[]) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    word text;
    term tsquery;
    found tsquery := '';
BEGIN
    FOREACH word IN ARRAY words LOOP
        word := searchable(word);
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

CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_present CHECK (username <> '')
);
INSERT INTO users (id, username) VALUES ('00000000-0000-0000-0000-000000000000', 'anonymous');

CREATE TABLE request (
    request_id uuid CONSTRAINT request_pkey PRIMARY KEY,
    body_hash bytea NOT NULL CONSTRAINT body_hash_is_sha256 CHECK (length(body_hash) = 32),
    response bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_by_age ON request (created_at);

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
        setweight(to_tsvector('simple', part_id || ' ' || mpn || ' ' || searchable(manufacturer)), 'A')
        || setweight(to_tsvector('simple', searchable(title)), 'A')
        || setweight(to_tsvector('english', searchable(title)), 'B')
        || setweight(to_tsvector('simple', searchable(summary)), 'C')
        || setweight(to_tsvector('english', searchable(summary)), 'C')
        || setweight(to_tsvector('simple', searchable(left(description, 20000))), 'D')
        || setweight(to_tsvector('english', searchable(left(description, 20000))), 'D')
    ) STORED,
    CONSTRAINT money_has_currency CHECK (currency IS NOT NULL OR (price_minor IS NULL AND cost_minor IS NULL)),
    CONSTRAINT price_breaks_have_price CHECK (price_minor IS NOT NULL OR price_breaks = '[]'),
    CONSTRAINT part_version_positive CHECK (version >= 1),
    CONSTRAINT published_version_within_version CHECK (published_version BETWEEN 0 AND version)
);

CREATE INDEX part_search ON part USING gin (search);
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

CREATE FUNCTION written_by_service() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('partstream.source', true), '') = 'service'
        AND coalesce(current_setting('partstream.actor', true), '') <> ''
$$;

CREATE FUNCTION role_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT md5('role:' || session_user)::uuid
$$;

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

CREATE FUNCTION changed_fields(before jsonb, after jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_agg(key ORDER BY key), '[]')
    FROM jsonb_each(after) AS field(key, value)
    WHERE key NOT IN ('version', 'published_version', 'create_time', 'update_time', 'updated_by', 'category_path')
        AND CASE WHEN before IS NULL THEN value NOT IN ('null', '""', '[]', '{}')
                 ELSE before -> key IS DISTINCT FROM value END
$$;

CREATE FUNCTION refuse_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_ARGV[0];
END $$;

CREATE FUNCTION category_snapshot(c category) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('category_id', c.category_id, 'parent_id', coalesce(c.parent_id, ''), 'name', c.name,
        'path', c.path, 'position', c.position, 'version', c.version,
        'create_time', utc_text(c.created_at), 'update_time', utc_text(c.updated_at),
        'delete_time', utc_text(c.deleted_at))
$$;

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

CREATE FUNCTION refuse_category_with_dependents(gone text) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM category WHERE parent_id = gone AND deleted_at IS NULL)
        OR EXISTS (SELECT FROM part WHERE category_id = gone AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the category % still holds parts or categories', gone
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'category_has_dependents';
    END IF;
END $$;

CREATE FUNCTION category_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION category_path_to_children() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE category SET path = NEW.path || name WHERE parent_id = NEW.category_id;
    RETURN NULL;
END $$;
CREATE TRIGGER category_path_to_children AFTER UPDATE ON category
    FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION category_path_to_children();

CREATE FUNCTION category_log() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION part_before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM require_live_category(NEW.category_id);
    NEW.version := 1;
    NEW.published_version := (NEW.status = 'published')::int;
    NEW.created_at := clock_timestamp();
    NEW.updated_at := NEW.created_at;
    NEW.updated_by := acting_user();
    RETURN NEW;
END $$;

CREATE FUNCTION part_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION part_log() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE FUNCTION part_image_changed() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER part_version_is_append_only BEFORE UPDATE OR DELETE ON part_version
    FOR EACH ROW EXECUTE FUNCTION refuse_statement('part_version_is_append_only', 'history is never rewritten');
CREATE TRIGGER part_version_is_not_truncated BEFORE TRUNCATE ON part_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('part_version_is_append_only', 'history is never rewritten');
