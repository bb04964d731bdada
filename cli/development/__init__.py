"""What keeps the repository true: checks, generated code and documents, the test run."""
