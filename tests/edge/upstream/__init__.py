"""Tests of edge.upstream."""
