"""Tests of ``edge/audit_dispatch``."""
