"""Background work: the audit trail, page warming, alerts, and scheduled services."""
