"""The rules: what parts and categories may say, and what becomes of a write. Standard library only."""
