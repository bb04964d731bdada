"""Calls of commands to the running services: discovered, authorised, retried, and resumed after a kill."""
