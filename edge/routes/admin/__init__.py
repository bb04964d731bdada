"""Routes that require a permission; each names it in its guard."""
