-- name: select_categories
-- Live categories, each with the number of published parts directly in it, and the newest revision.
SELECT c.category_id, coalesce(c.parent_id, '') AS parent_id, c.name, c.path, c.position, c.version,
       coalesce(counted.parts, 0) AS part_count,
       coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) AS log_revision
FROM category AS c
LEFT JOIN (
    SELECT category_id, count(*) AS parts FROM part
    WHERE status = 'published' AND deleted_at IS NULL
    GROUP BY category_id
) AS counted USING (category_id)
WHERE c.deleted_at IS NULL;

-- name: select_subtree
-- The ids of a live category and of all live categories below it; no row when it does not exist.
WITH RECURSIVE below (category_id) AS (
    SELECT category_id FROM category WHERE category_id = $1 AND deleted_at IS NULL
    UNION
    SELECT child.category_id FROM below JOIN category AS child ON child.parent_id = below.category_id
    WHERE child.deleted_at IS NULL
)
SELECT category_id FROM below;

-- name: lock_categories
-- The live ones of these categories; none of them can be deleted before the commit.
SELECT category_id FROM category
WHERE category_id = ANY($1::text[]) AND deleted_at IS NULL
ORDER BY category_id FOR SHARE;

-- name: insert_category
-- Insert a category and return it with what triggers set; no row when the id exists.
INSERT INTO category (category_id, parent_id, name, position) VALUES ($1, nullif($2, ''), $3, $4)
ON CONFLICT (category_id) DO NOTHING
RETURNING category_id, coalesce(parent_id, '') AS parent_id, name, path, position, version, 0 AS part_count;
