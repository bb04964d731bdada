"""The one-machine stack: embedded servers, process supervision, sample data, import and replay."""
