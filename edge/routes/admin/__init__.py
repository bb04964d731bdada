"""Routes that need a permission; each names it in its guard."""
