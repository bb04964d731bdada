"""Routes without sign-in."""
