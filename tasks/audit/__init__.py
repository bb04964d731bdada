"""The audit trail: one row per change-log entry, written once, never changed."""
