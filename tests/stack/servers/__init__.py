"""Tests of ``stack/servers``."""
