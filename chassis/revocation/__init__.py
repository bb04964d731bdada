"""Revoked tokens: every server holds the list in memory and follows it from the edges."""
