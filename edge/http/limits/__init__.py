"""Rate limits of requests, with counts that all edges share through Redis."""
