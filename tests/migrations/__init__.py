"""Migrations are frozen, lead to the schema that is written down, and upgrade databases of older releases."""
