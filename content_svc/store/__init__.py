"""The SQL of the service behind named functions, and rows as domain objects."""
