"""Migrations of the inventory database, frozen: docs/migrations.md."""
