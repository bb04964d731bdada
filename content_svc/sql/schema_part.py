"""Triggers of `part`, `part_image` and `part_version`: every committed state is a version, a snapshot and a log entry.

A transaction makes at most one version of a part, however many statements it took: the first statement numbers the
version, the deferred trigger closes it with the state at commit. Between the two the version is *open*: the part's
number has no row in `part_version` yet.
"""

# Pictures in order, as snapshots hold them.
_IMAGES = """
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
"""

# The whole part under the names of the contract's fields.
_SNAPSHOT = """
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
"""

# Whether the part's number has no snapshot yet.
_OPEN = """
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
"""

# The version after a write that found version `present` and asks for `wanted`.
_NUMBER = """
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
"""

# Number the version and stamp it. A write that changes nothing, and does not ask for a version, leaves no trace.
_BEFORE = """
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
"""

# Snapshots carry the number of their form, here 1, so that readers can bring older ones up to date.
# Close the open version with the state at commit: snapshot and log entry. Several statements queue several calls; the
# first one closes the version for all of them.
_LOG = """
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
"""

# Pictures changed on their own are a new version of their part.
_IMAGE_LOG = """
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
"""

_REFUSALS = """
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
"""

PART = (_IMAGES, _SNAPSHOT, _OPEN, _NUMBER, _BEFORE, _LOG, _IMAGE_LOG, _REFUSALS)
