"""Migrations of the audit database, frozen: docs/migrations.md."""
