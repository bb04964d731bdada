"""Piccolo migrations of the inventory database, in order of their ids."""
