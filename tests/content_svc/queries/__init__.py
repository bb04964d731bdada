"""Tests of content_svc.queries."""
