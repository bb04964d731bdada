"""Tables, constraints and indexes of the content database. Constraints are named for the rule they keep."""

# Immutable functions that CHECK constraints and the search column stand on.
_FUNCTIONS = r"""
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

-- The parser takes a run of Chinese, Japanese or Korean signs for one word: each sign is made a word of its own.
CREATE FUNCTION searchable(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(words, '([\u2E80-\u9FFF\uAC00-\uD7AF\uF900-\uFAFF])', ' \1 ', 'g')
$$;

-- Every word must be found: as an English word in any of its forms, or as the beginning of a word.
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

-- A moment as change log and snapshots print it, whatever the session's time zone.
CREATE FUNCTION utc_text(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
"""

# People and database roles that have written here. Nobody signed in is a user too.
_USERS = """
CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    username text NOT NULL CONSTRAINT username_present CHECK (username <> '')
);
INSERT INTO users (id, username) VALUES ('00000000-0000-0000-0000-000000000000', 'anonymous');
"""

# Idempotency: claimed before the effect, in the transaction of the effect. `response` is NULL only inside it.
_REQUEST = """
CREATE TABLE request (
    request_id uuid CONSTRAINT request_pkey PRIMARY KEY,
    body_hash bytea NOT NULL CONSTRAINT body_hash_is_sha256 CHECK (length(body_hash) = 32),
    response bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_by_age ON request (created_at);
"""

_CATEGORY = """
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
"""

_PART = """
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
"""

# Listings are of live parts of one status; `C` collation makes the order the same on every server.
_PART_INDEXES = """
CREATE INDEX part_search ON part USING gin (search);
CREATE INDEX part_by_id_prefix ON part (lower(part_id) text_pattern_ops);
CREATE INDEX part_by_mpn_prefix ON part (lower(mpn) text_pattern_ops);
CREATE INDEX part_by_category ON part (category_id, status, part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_title ON part (status, lower(title) COLLATE "C", part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_price_rising ON part (status, coalesce(price_minor, 9223372036854775807), part_id)
    WHERE deleted_at IS NULL;
CREATE INDEX part_by_price_falling ON part (status, coalesce(price_minor, -1) DESC, part_id) WHERE deleted_at IS NULL;
CREATE INDEX part_by_update ON part (status, updated_at DESC, part_id) WHERE deleted_at IS NULL;
"""

_PART_IMAGE = r"""
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
"""

# Full snapshots, not differences: a version can be read alone and rolled back to without any other.
_PART_VERSION = """
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
"""

TABLES = (_FUNCTIONS, _USERS, _REQUEST, _CATEGORY, _PART, _PART_INDEXES, _PART_IMAGE, _PART_VERSION)
