-- Keep one enabled administrator, roles that are a set, and user names that differ in more than case.

CREATE FUNCTION is_set(elements text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(elements) = (SELECT count(DISTINCT element) FROM unnest(elements) AS element)
$$;
UPDATE "user" SET roles = ARRAY(SELECT role FROM unnest(roles) WITH ORDINALITY AS given (role, place)
    GROUP BY role ORDER BY min(place)) WHERE NOT is_set(roles);
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE "user" ADD CONSTRAINT roles_are_a_set CHECK (is_set(roles));

-- User names are ASCII; compare them without the rules of a language.
CREATE UNIQUE INDEX username_folded_unique ON "user" (lower(username COLLATE "C"));

-- The lock lets the second of two concurrent changes read the first.
CREATE FUNCTION an_administrator_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 20);
    IF NOT EXISTS (SELECT FROM "user" WHERE 'admin' = ANY (roles) AND disabled_at IS NULL) THEN
        RAISE EXCEPTION 'the last enabled administrator stays'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'an_administrator_stays';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER an_administrator_stays_enabled AFTER UPDATE ON "user" FOR EACH ROW
    WHEN ('admin' = ANY (OLD.roles) AND OLD.disabled_at IS NULL
        AND NOT ('admin' = ANY (NEW.roles) AND NEW.disabled_at IS NULL))
    EXECUTE FUNCTION an_administrator_stays();
CREATE TRIGGER an_administrator_stays_stored AFTER DELETE ON "user" FOR EACH ROW
    WHEN ('admin' = ANY (OLD.roles) AND OLD.disabled_at IS NULL)
    EXECUTE FUNCTION an_administrator_stays();

ALTER TABLE login_attempt ADD COLUMN purpose text NOT NULL DEFAULT 'sign_in'
    CONSTRAINT purpose_known CHECK (purpose IN ('sign_in', 'registration'));
CREATE INDEX login_attempt_by_pair ON login_attempt (purpose, username, client_ip, attempted_at);
