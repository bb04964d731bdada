"""The cache: memory in every process, Redis between them, both fed by the change logs and never going backwards."""
