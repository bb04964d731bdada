"""Tests of changelog."""
