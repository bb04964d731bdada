"""Tests of content_svc.convert."""
