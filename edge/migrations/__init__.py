"""Migrations of the edge's database, frozen: docs/migrations.md."""
