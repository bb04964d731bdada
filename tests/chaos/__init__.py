"""Tests that break things on purpose: real processes, a real database, a network in between."""
