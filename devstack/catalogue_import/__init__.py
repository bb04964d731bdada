"""`./partstream import`: reads a catalogue file, puts every row right as documented in docs/import.md, and writes it through the services."""
