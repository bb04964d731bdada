"""``./partstream bench NAME``: measurements against a yardstick on the same server, in one run."""
