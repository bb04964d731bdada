"""Rows held against the log and the ledger, for the integrity check; and writes of nothing, which say nothing."""

# What somebody leaves behind who switches the triggers off: rows that are not as the newest entry about them says, and
# levels that their ledger does not lead to. Columns that an entry is too old to have count as they are.
ROWS_THAT_DIFFER = """
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
        SELECT 'stock_level' AS entity, s.part_id || '/' || s.location_id AS entity_id, n.entity IS NOT NULL AS is_told,
               jsonb_populate_record(s, n.after) IS DISTINCT FROM s AS differs
        FROM stock_level AS s
        LEFT JOIN newest AS n ON n.entity = 'stock_level' AND n.entity_id = s.part_id || '/' || s.location_id
        UNION ALL
        SELECT 'location', p.location_id, n.entity IS NOT NULL, jsonb_populate_record(p, n.after) IS DISTINCT FROM p
        FROM location AS p LEFT JOIN newest AS n ON n.entity = 'location' AND n.entity_id = p.location_id
        UNION ALL
        SELECT 'reservation', r.reservation_id::text, n.entity IS NOT NULL,
               jsonb_populate_record(r, n.after) IS DISTINCT FROM r
        FROM reservation AS r
        LEFT JOIN newest AS n ON n.entity = 'reservation' AND n.entity_id = r.reservation_id::text
    )
    SELECT coalesce(p.entity, n.entity), coalesce(p.entity_id, n.entity_id),
           CASE WHEN p.entity IS NULL THEN 'the row is gone'
                WHEN p.is_told THEN 'the row is not as its last entry says'
                ELSE 'no entry tells of the row' END
    FROM present AS p FULL JOIN newest AS n ON n.entity = p.entity AND n.entity_id = p.entity_id
    WHERE p.entity IS NULL OR (p.is_told AND p.differs) OR (has_all_entries AND NOT p.is_told);

    RETURN QUERY
    SELECT 'stock_level', s.part_id || '/' || s.location_id, 'the ledger does not lead to the level'
    FROM stock_level AS s
    LEFT JOIN (SELECT m.part_id, m.location_id, count(*) AS movements, sum(m.on_hand_delta) AS on_hand,
                      sum(m.reserved_delta) AS reserved
               FROM stock_movement AS m GROUP BY m.part_id, m.location_id) AS m
        ON m.part_id = s.part_id AND m.location_id = s.location_id
    WHERE m.movements IS DISTINCT FROM s.version OR m.on_hand <> s.on_hand OR m.reserved <> s.reserved;
END $$;
"""

# A location or a reservation that is written as it was is no new version of it.
WRITES_OF_NOTHING = """
CREATE OR REPLACE FUNCTION inventory_provenance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.* IS NOT DISTINCT FROM NEW.* THEN
        RETURN NEW;
    END IF;
    NEW.version := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE OLD.version + 1 END;
    IF current_setting('partstream.source', true) = 'service' THEN
        NEW.source := 'service';
        RETURN NEW;
    END IF;
    NEW.updated_at := clock_timestamp();
    NEW.last_updated_by := inventory_role_actor();
    NEW.last_updated_by_name := session_user;
    NEW.source := 'sql';
    NEW.client_ip := '';
    NEW.request_id := '';
    NEW.traceparent := '';
    RETURN NEW;
END $$;
"""

CHECKS = (ROWS_THAT_DIFFER, WRITES_OF_NOTHING)
