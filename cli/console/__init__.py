"""What verbs share of files and of the terminal."""
