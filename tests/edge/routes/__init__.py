"""Tests of routes against both real services."""
