"""The metrics of background work."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A `_created` series doubles the series of every counter and histogram, and no rule or dashboard reads one.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Rows written, by service: entries, or movements where an entry has several.
AUDIT_ROWS = Counter("partstream_audit_rows_total", "Rows written to the audit trail", ["service"])
# Results of jobs: stored, duplicate, too_early, stale_epoch.
AUDIT_JOBS = Counter("partstream_audit_jobs_total", "Audit jobs by what became of them", ["service", "outcome"])
# Seconds from the commit of a change to its row.
AUDIT_DELAY = Histogram(
    "partstream_audit_delay_seconds",
    "From the commit of the newest change of a job to its row",
    ["service"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)
# Failed attempts, by actor; each is retried, and the metric below counts those given up.
JOB_FAILURES = Counter("partstream_job_failures_total", "Attempts of jobs that failed", ["actor"])
# Jobs moved to the dead letters; audit entries among them are queued again from the log.
JOBS_DEAD = Counter("partstream_jobs_dead_total", "Jobs given up after their last attempt", ["actor"])
# Pages read to warm the cache, by outcome: ok, refused (any status but 200), failed, late, too_many (not read).
PAGES_WARMED = Counter("partstream_pages_warmed_total", "Product pages read to warm the cache", ["outcome"])
# 1 after startup.
READY = Gauge("partstream_tasks_ready", "1 while the process works, 0 while it waits for its dependencies")
