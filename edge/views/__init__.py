"""JSON shapes of the REST interface, and their making from protobuf messages. Pure."""
