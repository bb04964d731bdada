"""Turn log entries into jobs: every entry for the audit trail, and product pages to warm."""
