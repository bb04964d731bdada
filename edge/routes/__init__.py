"""Route handlers, grouped by who calls them."""
