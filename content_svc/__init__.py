"""The content service: parts, categories and their versions."""
