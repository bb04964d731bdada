-- Store alerts.

CREATE TABLE alert (
    alert_id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT alert_name_wellformed CHECK (name ~ '^[a-z0-9_]{1,64}$'),
    subject text NOT NULL CONSTRAINT alert_subject_bounded CHECK (length(subject) <= 200),
    reporter text NOT NULL CONSTRAINT alert_reporter_bounded CHECK (length(reporter) <= 200),
    state text NOT NULL CONSTRAINT alert_state_known CHECK (state IN ('firing', 'resolved')),
    severity text NOT NULL CONSTRAINT alert_severity_known CHECK (severity IN ('critical', 'warning')),
    detail text NOT NULL CONSTRAINT alert_detail_bounded CHECK (length(detail) <= 1000),
    fired_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text NOT NULL DEFAULT '',
    CONSTRAINT alert_resolved_has_time CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
CREATE UNIQUE INDEX alert_firing_once ON alert (name, subject, reporter) WHERE state = 'firing';
CREATE INDEX alert_by_time ON alert (fired_at, alert_id);
CREATE INDEX alert_firing_by_lease ON alert (last_seen_at) WHERE state = 'firing';
