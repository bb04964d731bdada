"""Tests of the catalogue import."""
