"""Claims of request ids belong to a principal: two callers may use the same id."""

# Whose each claim is that was made before: the account that the change names.
CLAIMS_BY_PRINCIPAL = """
ALTER TABLE request ADD COLUMN principal text COLLATE "C" NOT NULL DEFAULT 'unknown';
UPDATE request q SET principal = 'user:' || c.actor
FROM (SELECT DISTINCT ON (l.request_id) l.request_id, l.actor FROM change_log l
      WHERE l.request_id <> '' AND l.committed_at > now() - interval '26 hours'
      ORDER BY l.request_id, l.revision) AS c
WHERE q.request_id::text = c.request_id;
ALTER TABLE request ALTER COLUMN principal DROP DEFAULT,
    DROP CONSTRAINT request_pkey,
    ADD CONSTRAINT request_pkey PRIMARY KEY (principal, request_id);
"""
