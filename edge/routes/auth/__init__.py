"""Sign-in, sessions, registration and the public keys of tokens."""
