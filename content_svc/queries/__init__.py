"""Reads of the catalogue, each from one snapshot of the database."""
