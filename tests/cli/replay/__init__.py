"""Tests of the replay of movements."""
