"""Routes that need no sign-in."""
