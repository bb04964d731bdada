-- name: select_parts
-- Whole parts by id, deleted ones included. The JSON columns are text: the store decodes them once.
-- log_revision is the newest revision in the snapshot of this statement, for the revision token of the response.
SELECT
    p.part_id, p.category_id, p.title, p.summary, p.description, p.specifications::text AS specifications,
    p.price_minor, p.cost_minor, p.currency, p.price_breaks::text AS price_breaks, p.status, p.mpn, p.manufacturer,
    p.datasheet_url, p.version, p.published_version, p.updated_by, p.created_at, p.updated_at, p.deleted_at,
    u.username, c.path AS category_path,
    (SELECT jsonb_agg(jsonb_build_object('url', i.url, 'alt', i.alt, 'width', i.width, 'height', i.height)
                      ORDER BY i.position)::text
     FROM part_image AS i WHERE i.part_id = p.part_id) AS images,
    coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) AS log_revision
FROM part AS p
JOIN category AS c ON c.category_id = p.category_id
JOIN users AS u ON u.id = p.updated_by
WHERE p.part_id = ANY($1::text[]);

-- name: select_parts_after
-- Whole parts after an id, in order of id, for snapshots: all of them, or only the public ones.
SELECT
    p.part_id, p.category_id, p.title, p.summary, p.description, p.specifications::text AS specifications,
    p.price_minor, p.cost_minor, p.currency, p.price_breaks::text AS price_breaks, p.status, p.mpn, p.manufacturer,
    p.datasheet_url, p.version, p.published_version, p.updated_by, p.created_at, p.updated_at, p.deleted_at,
    u.username, c.path AS category_path,
    (SELECT jsonb_agg(jsonb_build_object('url', i.url, 'alt', i.alt, 'width', i.width, 'height', i.height)
                      ORDER BY i.position)::text
     FROM part_image AS i WHERE i.part_id = p.part_id) AS images
FROM part AS p
JOIN category AS c ON c.category_id = p.category_id
JOIN users AS u ON u.id = p.updated_by
WHERE p.part_id > $1 AND (NOT $2::boolean OR (p.status = 'published' AND p.deleted_at IS NULL))
ORDER BY p.part_id;

-- name: select_page
-- Whole parts of a page, with the values they are sorted by. `store/part_listing.py` puts the page's own query before
-- this statement, as `page`, and the order after it.
SELECT
    p.part_id, p.category_id, p.title, p.summary, p.description, p.specifications::text AS specifications,
    p.price_minor, p.cost_minor, p.currency, p.price_breaks::text AS price_breaks, p.status, p.mpn, p.manufacturer,
    p.datasheet_url, p.version, p.published_version, p.updated_by, p.created_at, p.updated_at, p.deleted_at,
    u.username, c.path AS category_path,
    (SELECT jsonb_agg(jsonb_build_object('url', i.url, 'alt', i.alt, 'width', i.width, 'height', i.height)
                      ORDER BY i.position)::text
     FROM part_image AS i WHERE i.part_id = p.part_id) AS images,
    coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) AS log_revision,
    page.page_key
FROM page
JOIN part AS p ON p.part_id = page.part_id
JOIN category AS c ON c.category_id = p.category_id
JOIN users AS u ON u.id = p.updated_by;

-- name: lock_parts
-- Lock parts in the order of the primary key, which excludes deadlocks. The parts are read by a later statement: other
-- tables in this one would be read in its snapshot, which is taken before it waits for the locks.
SELECT part_id FROM part WHERE part_id = ANY($1::text[]) ORDER BY part_id FOR UPDATE;

-- name: insert_parts
-- Insert parts, given as one JSON array, and return those that did not exist.
INSERT INTO part (part_id, category_id, title, summary, description, specifications, price_minor, cost_minor, currency,
                  price_breaks, status, mpn, manufacturer, datasheet_url)
SELECT r.part_id, r.category_id, r.title, r.summary, r.description, r.specifications, r.price_minor, r.cost_minor,
       r.currency, r.price_breaks, r.status, r.mpn, r.manufacturer, r.datasheet_url
FROM jsonb_to_recordset($1::jsonb) AS r (
    part_id text, category_id text, title text, summary text, description text, specifications jsonb,
    price_minor bigint, cost_minor bigint, currency text, price_breaks jsonb, status text, mpn text,
    manufacturer text, datasheet_url text)
ORDER BY r.part_id
ON CONFLICT (part_id) DO NOTHING
RETURNING part_id;

-- name: update_parts
-- Replace the content of locked parts, given as one JSON array. The version rises explicitly: where only images differ,
-- which are rows of another table, no column of the part changes.
UPDATE part AS p
SET category_id = r.category_id, title = r.title, summary = r.summary, description = r.description,
    specifications = r.specifications, price_minor = r.price_minor, cost_minor = r.cost_minor, currency = r.currency,
    price_breaks = r.price_breaks, status = r.status, mpn = r.mpn, manufacturer = r.manufacturer,
    datasheet_url = r.datasheet_url, version = p.version + 1
FROM jsonb_to_recordset($1::jsonb) AS r (
    part_id text, category_id text, title text, summary text, description text, specifications jsonb,
    price_minor bigint, cost_minor bigint, currency text, price_breaks jsonb, status text, mpn text,
    manufacturer text, datasheet_url text)
WHERE p.part_id = r.part_id
RETURNING p.part_id, p.version;

-- name: delete_images
-- Delete the images of parts.
DELETE FROM part_image WHERE part_id = ANY($1::text[]);

-- name: insert_images
-- Insert images of parts, given as one JSON array.
INSERT INTO part_image (part_id, position, url, alt, width, height)
SELECT r.part_id, r.position, r.url, r.alt, r.width, r.height
FROM jsonb_to_recordset($1::jsonb) AS r (part_id text, position int, url text, alt text, width int, height int);
