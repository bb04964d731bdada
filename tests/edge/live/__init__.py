"""Tests of edge/live."""
