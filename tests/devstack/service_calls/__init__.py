"""Tests of ``devstack/service_calls``."""
