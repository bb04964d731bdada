-- Store claims by principal, keys of guest carts as hashes, and the columns that bound guest carts.
-- No row trigger runs: a logged update would write each key to the log again. Older entries keep the key `owner_key`.

ALTER TABLE request ADD COLUMN principal text COLLATE "C" NOT NULL DEFAULT 'unknown';
CREATE TEMPORARY TABLE claimed_before ON COMMIT DROP AS
WITH bounds AS (SELECT min(q.revision) - 10000 AS oldest FROM request q),
recent AS (SELECT l.* FROM change_log l, bounds b WHERE l.revision >= b.oldest)
SELECT DISTINCT ON (request_id) request_id, principal, owner_key FROM (
    SELECT 1 AS rank, r.request_id,
           CASE WHEN r.actor = '00000000-0000-0000-0000-000000000000'
                THEN 'cart:' || encode(sha256(convert_to(r.after ->> 'owner_key', 'UTF8')), 'hex')
                ELSE 'user:' || r.actor END AS principal,
           r.after ->> 'owner_key' AS owner_key
    FROM recent r
    WHERE r.entity = 'reservation' AND r.after ->> 'owner_is_user' = 'false' AND r.after ->> 'owner_key' <> ''
    UNION ALL
    SELECT 2, m ->> 'request_id', 'user:' || (m ->> 'actor'), ''
    FROM recent r CROSS JOIN LATERAL jsonb_array_elements(r.details -> 'movements') AS m
    WHERE r.entity = 'stock_level'
    UNION ALL
    SELECT 3, r.request_id, 'user:' || r.actor, '' FROM recent r
) AS found WHERE request_id <> '' ORDER BY request_id, rank;
CREATE INDEX ON claimed_before (request_id);
UPDATE request q SET principal = c.principal,
    response = CASE WHEN c.owner_key = '' OR position(convert_to(c.owner_key, 'UTF8') IN q.response) = 0 THEN q.response
                    ELSE overlay(q.response PLACING convert_to(repeat('*', octet_length(c.owner_key)), 'UTF8')
                                 FROM position(convert_to(c.owner_key, 'UTF8') IN q.response)) END
FROM claimed_before c WHERE q.request_id::text = c.request_id;
ALTER TABLE request ALTER COLUMN principal DROP DEFAULT,
    DROP CONSTRAINT request_pkey,
    ADD CONSTRAINT request_pkey PRIMARY KEY (principal, request_id);

ALTER TABLE reservation ALTER COLUMN owner_key DROP DEFAULT;
ALTER TABLE reservation ALTER COLUMN owner_key TYPE text USING
    CASE WHEN owner_is_user OR owner_key = '' THEN owner_key
         ELSE encode(sha256(convert_to(owner_key, 'UTF8')), 'hex') END;
ALTER TABLE reservation ALTER COLUMN owner_key SET DEFAULT '';
ALTER TABLE reservation RENAME COLUMN owner_key TO owner;
ALTER TABLE reservation
    ADD COLUMN opened_from text NOT NULL DEFAULT '',
    ADD COLUMN extensions int NOT NULL DEFAULT 0 CONSTRAINT extensions_not_negative CHECK (extensions >= 0),
    ADD CONSTRAINT cart_key_is_hashed CHECK (owner_is_user OR owner ~ '^([0-9a-f]{64})?$');
CREATE INDEX reservation_by_owner ON reservation (owner, created_at DESC, reservation_id DESC);
CREATE INDEX reservation_held_by_owner ON reservation (owner, expires_at)
    WHERE state = 'held' AND NOT owner_is_user;
CREATE INDEX reservation_held_from ON reservation (opened_from, expires_at)
    WHERE state = 'held' AND NOT owner_is_user;

DROP FUNCTION inventory_open;
DROP FUNCTION inventory_write_holds;
DROP FUNCTION inventory_write;
DROP FUNCTION inventory_write_one;

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
