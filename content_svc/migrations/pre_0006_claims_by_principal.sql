-- Store claims of request ids by principal. Existing claims get the account that their log entry names.

ALTER TABLE request ADD COLUMN principal text COLLATE "C" NOT NULL DEFAULT 'unknown';
UPDATE request q SET principal = 'user:' || c.actor
FROM (SELECT DISTINCT ON (l.request_id) l.request_id, l.actor FROM change_log l
      WHERE l.request_id <> '' AND l.committed_at > now() - interval '26 hours'
      ORDER BY l.request_id, l.revision) AS c
WHERE q.request_id::text = c.request_id;
ALTER TABLE request ALTER COLUMN principal DROP DEFAULT,
    DROP CONSTRAINT request_pkey,
    ADD CONSTRAINT request_pkey PRIMARY KEY (principal, request_id);
