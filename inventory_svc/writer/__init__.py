"""Group commit: queue of pending writes, batches in one transaction each, expiry of overdue reservations."""
