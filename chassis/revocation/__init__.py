"""Which tokens no longer count: kept in memory by every server, followed from the edges."""
