"""Load on the running stack: shoppers who browse."""
