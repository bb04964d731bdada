"""Tests of content_svc.store."""
