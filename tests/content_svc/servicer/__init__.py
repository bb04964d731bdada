"""Tests of content_svc.servicer."""
