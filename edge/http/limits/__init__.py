"""Rate limits of the edge: who made a request, its class, its quota, and the counts that edges share."""
