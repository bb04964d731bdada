"""Tests of the load."""
