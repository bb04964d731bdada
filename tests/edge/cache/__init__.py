"""Tests of edge/cache."""
