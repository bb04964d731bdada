"""The processes of the stack: planned, started in order, watched, stopped in order."""
