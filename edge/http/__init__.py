"""The HTTP border: server, middleware, request parsing, conditional requests, limits and problem responses."""
