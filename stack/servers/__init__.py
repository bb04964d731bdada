"""What PostgreSQL and Redis need to run on one machine: their programs, ports, users, databases and copies."""
