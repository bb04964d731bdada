"""Tests of ``stack/supervision``."""
