"""Background work: the audit trail, page warming, and what has to be done by the clock."""
