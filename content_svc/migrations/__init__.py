"""Steps of the content database's schema, in the order of their names."""
