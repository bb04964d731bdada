"""Calls to the services, and following their change logs."""
