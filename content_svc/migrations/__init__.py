"""Migrations of the content database, frozen: docs/migrations.md."""
