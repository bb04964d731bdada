"""Reading pages before people do, so that they find them in the cache."""
