"""The rules of content, without I/O."""
