"""Rate limits of the edge."""
