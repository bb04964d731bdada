"""Stock levels, their ledger, reservations and locations: the part of Partstream that buyers' money depends on."""
