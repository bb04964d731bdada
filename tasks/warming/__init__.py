"""Reads pages ahead of clients, so that they are in the cache."""
