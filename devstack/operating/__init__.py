"""Operators' verbs on the running stack."""
