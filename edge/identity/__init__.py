"""Users, sessions, access tokens and security events: the only package of the edge with tables.

Plain reads and writes use the query builder over ``tables``, through ``Database.run``; rows are locked with
``TransactionManager.with_row_locking``. A statement is in a file of ``sql/`` where it is set-based (the limit of
sessions per user), takes a lock that is not of a row (the attempts of an account, the first user), must be one round
trip (sign-in, refresh, the session of a cookie, repeated events), or has a connection of its own (the revocation feed).
The builder adds some 80 microseconds of processor time to a statement; each request checks tokens in memory.
"""
