-- name: lock_users
-- Block other writers of users until the transaction ends.
LOCK TABLE "user" IN SHARE ROW EXCLUSIVE MODE;

-- name: insert_first_user
-- Insert a user when there is none; return no row when there is. Run it under `lock_users`.
INSERT INTO "user" (username, password_hash, roles)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM "user") RETURNING *;
