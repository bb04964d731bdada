"""The content service on a real database, and its rules on generated values."""
