"""Interfaces whose names and types stay within a major version: docs/compatibility.md."""
