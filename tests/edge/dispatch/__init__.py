"""Tests of ``edge/dispatch``."""
