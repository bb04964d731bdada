"""Live delivery: one WebSocket endpoint that sends every change to the clients that subscribe to it."""
