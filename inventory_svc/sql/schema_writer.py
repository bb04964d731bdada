"""The two steps of the writer's transaction as functions, so that a lone request costs few round trips.

Arrays go in and out because one batch is many requests: a thousand rows in one call. Joins are nested loops from the
array into a primary key, whatever the statistics say, and plans are made once: with arrays as parameters the server
would believe a plan for this very array to be cheaper and make one at each call (1 ms for a lone request).
"""

# Claim request ids, then lock in one order for all writers (claims, reservations, levels; each by key), then read.
# Every statement inside sees what was committed while it waited. Answers one row of arrays.
OPEN = """
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
"""

# Write reservations that were made or changed, and locations likewise. Only batches that have any call this.
WRITE_HOLDS = """
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
"""

# Write the levels, then the ledger, seal the change log, and keep the answers. Answers the revision.
WRITE = """
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
"""

# Which version a level had at a moment; 0 before its first. Versions are dense and their times never fall, so that a
# binary search over the primary key needs no index by time: 20 look-ups in a ledger of a million rows.
VERSION_AT = """
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
"""

WRITER = (OPEN, WRITE_HOLDS, WRITE, VERSION_AT)
