"""The change log: written by the database at commit, served to watchers, followed by everything downstream."""
