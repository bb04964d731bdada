"""SQL that the query builder cannot say: the schema's rules and triggers, set-based writes, reads without N+1."""
