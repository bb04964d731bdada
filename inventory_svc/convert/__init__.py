"""Between protobuf and the domain, pure: ``requests`` in, ``answers`` out."""
