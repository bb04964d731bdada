"""Tests of edge.http."""
