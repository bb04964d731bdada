"""Real servers for tests: one PostgreSQL and one Redis per test run, migrated templates, a database per test."""
