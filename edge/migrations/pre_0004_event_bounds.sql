-- Count equal security events of a minute in one row, bound their texts, and expire old ones.

ALTER TABLE security_event ADD COLUMN occurrences bigint NOT NULL DEFAULT 1
    CONSTRAINT security_event_happened CHECK (occurrences >= 1);
ALTER TABLE security_event ADD COLUMN last_at timestamptz;
ALTER TABLE security_event ADD COLUMN aggregate text;
CREATE UNIQUE INDEX security_event_by_aggregate ON security_event (aggregate) WHERE aggregate IS NOT NULL;

-- NOT VALID: older rows may be longer, and stay.
ALTER TABLE security_event ADD CONSTRAINT security_event_texts_are_short CHECK (
    length(kind) <= 64 AND length(username) <= 64 AND length(client_ip) <= 64 AND length(request_id) <= 100
    AND length(aggregate) <= 64 AND length(details::text) <= 8000
) NOT VALID;
ALTER TABLE login_attempt ADD CONSTRAINT login_attempt_texts_are_short CHECK (
    length(username) <= 64 AND length(client_ip) <= 64
) NOT VALID;

CREATE OR REPLACE FUNCTION security_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.aggregate IS NOT NULL AND NEW.occurrences > OLD.occurrences
        AND to_jsonb(NEW) - '{occurrences,last_at}'::text[] = to_jsonb(OLD) - '{occurrences,last_at}'::text[] THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND current_setting('partstream.expiring', true) = pg_current_xact_id()::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'security events are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION expire_security_events(keep_for interval, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone record;
BEGIN
    IF keep_for < interval '1 day' THEN
        RAISE EXCEPTION 'security events are kept for a day at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT pg_try_advisory_xact_lock(7304, 2) THEN
        RETURN 0;
    END IF;
    PERFORM set_config('partstream.expiring', pg_current_xact_id()::text, true);
    WITH expired AS (
        DELETE FROM security_event WHERE security_event_id IN (
            SELECT e.security_event_id FROM security_event AS e
            WHERE e.occurred_at < date_trunc('day', clock_timestamp() - keep_for) ORDER BY e.occurred_at LIMIT most
        ) RETURNING occurred_at
    )
    SELECT count(*) AS rows, min(occurred_at) AS oldest, max(occurred_at) AS newest INTO gone FROM expired;
    PERFORM set_config('partstream.expiring', '', true);
    IF gone.rows > 0 THEN
        INSERT INTO security_event (kind, username, details) VALUES ('security_events_expired', left(session_user, 64),
            jsonb_build_object('rows', gone.rows::text, 'oldest', gone.oldest::text, 'newest', gone.newest::text));
    END IF;
    RETURN gone.rows;
END $$;
