"""Migrations of the edge's database."""
