"""Tests of chassis."""
