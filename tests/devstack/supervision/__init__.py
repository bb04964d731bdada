"""Tests of ``devstack/supervision``."""
