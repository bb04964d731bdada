"""Tests of ``stack/service_calls``."""
