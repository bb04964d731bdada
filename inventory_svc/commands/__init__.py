"""Use cases that write: a command applied to a unit of work, and the stored publication of parts."""
