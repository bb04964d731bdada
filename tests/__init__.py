"""Tests: the tree mirrors the code's, plus contracts/, flow/ and architecture/."""
