-- name: ensure_month
-- Create the partition of a month unless it exists.
SELECT data_change_ensure_month($1);

-- name: ensure_months_ahead
-- Create the partitions of the current month and the next $1; return how many were missing.
SELECT count(*) FILTER (WHERE data_change_ensure_month(date_trunc('month', now(), 'UTC') + n * interval '1 month'))
FROM generate_series(0, $1::int) AS n;

-- name: drop_months_before
-- Drop the partitions that end at or before a timestamp; the function records each in `retention_event`.
SELECT data_change_drop_months_before($1);
