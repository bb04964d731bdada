"""Health of the process."""
