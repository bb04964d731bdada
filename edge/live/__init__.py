"""Live delivery: one WebSocket endpoint through which every change reaches whoever subscribed to it."""
