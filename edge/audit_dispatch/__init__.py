"""From the logs to jobs: every entry into the audit trail, and pages to warm."""
