"""Tests of page warming."""
