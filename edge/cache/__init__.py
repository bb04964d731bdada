"""The cache: memory in every process and Redis between them, both updated from the change logs."""
