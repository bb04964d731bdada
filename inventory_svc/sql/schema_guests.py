"""Claims belong to a principal; owners of guest carts are stored as hashes; what bounds the carts is a column.

No row trigger runs here: a logged update would have written each key to the log once more. Entries of before keep the
column ``owner_key`` that they were written with.
"""

# Only a hash of a guest's key, from now on and of what is stored already.
HASHED_OWNERS = """
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
"""

# Whose each claim is that was made before: of a cart, told by the hash of its key; else of the account that the change
# names. Stored responses showed the key of a cart: its bytes are overwritten, so that the message stays readable.
CLAIMS_BY_PRINCIPAL = """
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
"""

GUESTS = (CLAIMS_BY_PRINCIPAL, HASHED_OWNERS)
