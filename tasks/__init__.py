"""Background work: the audit trail, page warming, and periodic maintenance."""
