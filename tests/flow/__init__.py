"""The whole system at once: every process real, started by the same `up` that people use."""
