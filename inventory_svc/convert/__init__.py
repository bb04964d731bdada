"""Pure conversions between protobuf and the domain: ``requests`` and ``responses``."""
