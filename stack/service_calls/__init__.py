"""Calls of the commands to the running services: addresses, credential, retries, resumption after a kill."""
