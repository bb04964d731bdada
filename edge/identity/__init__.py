"""Users, sessions and tokens: the only room of the edge that has tables."""
