"""Tests of edge.openapi."""
