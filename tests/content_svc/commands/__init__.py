"""Tests of content_svc.commands."""
