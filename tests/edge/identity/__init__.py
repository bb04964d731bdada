"""Tests of edge.identity."""
