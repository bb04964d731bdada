"""Triggers of `category`: the tree stays a tree, paths follow names, every change is logged at commit."""

_SNAPSHOT = """
CREATE FUNCTION category_snapshot(c category) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('category_id', c.category_id, 'parent_id', coalesce(c.parent_id, ''), 'name', c.name,
        'path', c.path, 'position', c.position, 'version', c.version,
        'create_time', utc_text(c.created_at), 'update_time', utc_text(c.updated_at),
        'delete_time', utc_text(c.deleted_at))
$$;
"""

# The names from the top to a category. Its parent must be live and stay as it is until we commit.
_PATH = """
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
"""

# Moves within the tree happen one at a time: two that are each sound can make a circle together.
_CYCLE = """
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
"""

# A category goes only when nothing live is in it.
_DELETION = """
CREATE FUNCTION refuse_category_with_dependents(gone text) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM category WHERE parent_id = gone AND deleted_at IS NULL)
        OR EXISTS (SELECT FROM part WHERE category_id = gone AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the category % still holds parts or categories', gone
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'category_has_dependents';
    END IF;
END $$;
"""

# Number the version and keep the path; a write that changes nothing stays without trace.
_BEFORE = """
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
"""

# A new name or place is told to everything below; each is a version and an entry of its own.
_DESCENDANTS = """
CREATE FUNCTION category_path_to_children() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE category SET path = NEW.path || name WHERE parent_id = NEW.category_id;
    RETURN NULL;
END $$;
CREATE TRIGGER category_path_to_children AFTER UPDATE ON category
    FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION category_path_to_children();
"""

_LOG = """
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
"""

_REFUSALS = """
CREATE TRIGGER category_delete_is_soft BEFORE DELETE ON category
    FOR EACH ROW EXECUTE FUNCTION refuse_statement('category_delete_is_soft', 'set deleted_at instead');
CREATE TRIGGER category_is_not_truncated BEFORE TRUNCATE ON category
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('category_delete_is_soft', 'set deleted_at instead');
"""

CATEGORY = (_SNAPSHOT, _PATH, _CYCLE, _DELETION, _BEFORE, _DESCENDANTS, _LOG, _REFUSALS)
