"""`./partstream import`: reads a catalogue file, puts rows right as docs/import.md says, and writes them."""
