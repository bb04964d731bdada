"""Tests of ``devstack/operating``."""
