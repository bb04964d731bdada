"""Writes, set-based: many parts in one statement, given as one JSON text. Triggers keep versions, authors and log."""

from __future__ import annotations

# Record the writer and claim the request id. No row: it was claimed before - by a transaction that has ended, because
# the index makes us wait for one that has not.
CLAIM_REQUEST = """
INSERT INTO request (principal, request_id, body_hash) VALUES ($1, $2, $3)
ON CONFLICT (principal, request_id) DO NOTHING RETURNING request_id
"""
CLAIMED_REQUEST = """
SELECT body_hash, response, (SELECT max(revision) FROM change_log) AS log_revision
FROM request WHERE principal = $1 AND request_id = $2
"""
# The newest revision: what a write that found nothing to change has seen.
LOG_REVISION = "SELECT max(revision) FROM change_log"

ANSWER_REQUEST = "UPDATE request SET response = $3 WHERE principal = $1 AND request_id = $2"

# Record the writer; and keep this transaction's plans off whole tables: each statement of a write finds rows by key,
# but a foreign key's plan, made while a table was small, is kept by the session and would read it whole when it is not.
RECORD_USER = """
WITH planner AS MATERIALIZED (SELECT set_config('enable_seqscan', 'off', true))
INSERT INTO users (id, username) SELECT $1::uuid, $2::text FROM planner
ON CONFLICT (id) DO UPDATE SET username = excluded.username WHERE users.username <> excluded.username
"""

# Lock in the order of the primary key. Whole parts are read afterwards: what this statement would read of other tables
# is as old as its snapshot, taken before it waited.
LOCK_PARTS = "SELECT part_id FROM part WHERE part_id = ANY($1::text[]) ORDER BY part_id FOR UPDATE"

# Which of these categories are live; held so until we commit.
LOCK_CATEGORIES = """
SELECT category_id FROM category WHERE category_id = ANY($1::text[]) AND deleted_at IS NULL
ORDER BY category_id FOR SHARE
"""

_ROWS = """
    jsonb_to_recordset($1::jsonb) AS r(
        part_id text, category_id text, title text, summary text, description text, specifications jsonb,
        price_minor bigint, cost_minor bigint, currency text, price_breaks jsonb, status text, mpn text,
        manufacturer text, datasheet_url text)
"""

# Answers the parts that were not there; another transaction may have been faster with the rest.
INSERT_PARTS = f"""
INSERT INTO part (part_id, category_id, title, summary, description, specifications, price_minor, cost_minor, currency,
                  price_breaks, status, mpn, manufacturer, datasheet_url)
SELECT r.part_id, r.category_id, r.title, r.summary, r.description, r.specifications, r.price_minor, r.cost_minor,
       r.currency, r.price_breaks, r.status, r.mpn, r.manufacturer, r.datasheet_url
FROM {_ROWS} ORDER BY r.part_id
ON CONFLICT (part_id) DO NOTHING RETURNING part_id, version
"""  # noqa: S608 - constants

# The caller holds the locks. `version` rises even if only pictures differ, which are rows of another table.
UPDATE_PARTS = f"""
UPDATE part p SET category_id = r.category_id, title = r.title, summary = r.summary, description = r.description,
    specifications = r.specifications, price_minor = r.price_minor, cost_minor = r.cost_minor, currency = r.currency,
    price_breaks = r.price_breaks, status = r.status, mpn = r.mpn, manufacturer = r.manufacturer,
    datasheet_url = r.datasheet_url, version = p.version + 1
FROM {_ROWS} WHERE p.part_id = r.part_id RETURNING p.part_id, p.version
"""  # noqa: S608 - constants

DELETE_IMAGES = "DELETE FROM part_image WHERE part_id = ANY($1::text[])"

INSERT_IMAGES = """
INSERT INTO part_image (part_id, position, url, alt, width, height)
SELECT r.part_id, r.position, r.url, r.alt, r.width, r.height
FROM jsonb_to_recordset($1::jsonb) AS r(part_id text, position int, url text, alt text, width int, height int)
"""

INSERT_CATEGORY = """
INSERT INTO category (category_id, parent_id, name, position) VALUES ($1, nullif($2, ''), $3, $4)
"""
