"""Rows held against the log and their versions, for the integrity check; and versions, which only commits make."""

# What somebody leaves behind who switches the triggers off: parts and categories that are not as the newest entry about
# them says, and versions that are not the states that were told. A category's new name is told by the category, and a
# user's by nobody: neither makes a version of a part.
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
"""

# A version that somebody wrote ahead of its part would have passed for the one that the part's next change makes: that
# change came without an entry.
VERSIONS_ARE_MADE_BY_COMMITS = """
CREATE TRIGGER part_version_is_made_by_commits BEFORE INSERT ON part_version
    FOR EACH ROW WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_statement('part_version_is_made_by_commits', 'a version is made when its part is written');
"""

CHECKS = (ROWS_THAT_DIFFER, VERSIONS_ARE_MADE_BY_COMMITS)
