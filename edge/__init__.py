"""The edge: REST, WebSocket, cache and identity, in front of both services."""
