"""One use case per write."""
