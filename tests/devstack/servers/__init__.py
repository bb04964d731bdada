"""Tests of ``devstack/servers``."""
