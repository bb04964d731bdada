-- name: store_alert
-- Store an alert as it is now. A repeated call changes only what may change.
INSERT INTO alert (alert_id, name, subject, reporter, severity, detail, state, fired_at, resolved_at, resolution)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (alert_id) DO UPDATE SET state = excluded.state, detail = excluded.detail,
    resolved_at = excluded.resolved_at, resolution = excluded.resolution, last_seen_at = now();

-- name: resolve_lapsed_alerts
-- Resolve the alerts of other reporters than $2 that were not renewed for $1.
UPDATE alert SET state = 'resolved', resolved_at = now(), resolution = 'no longer reported'
WHERE state = 'firing' AND last_seen_at < now() - $1::interval AND reporter <> $2
RETURNING name, subject, reporter;

-- name: delete_old_alerts
-- Delete the alerts that were resolved longer ago than $1.
DELETE FROM alert WHERE state = 'resolved' AND resolved_at < now() - $1::interval;

-- name: list_alerts
-- Return a page of alerts, newest first, after a key ($2, $3); a null leaves its condition out.
SELECT alert_id, name, subject, state, severity, detail, fired_at, resolved_at, resolution, reporter
FROM alert
WHERE ($1::text IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR (fired_at, alert_id) < ($2, $3::uuid))
ORDER BY fired_at DESC, alert_id DESC LIMIT $4;
