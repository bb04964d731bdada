"""Errors of the cache; none of them reaches a client.

::

    CacheError
    ├── SharedTierAway      Redis does not answer, or the breaker keeps us from asking
    └── SharedTierBehind    Redis does not stand where the log entries to apply begin: read its position again
"""

from __future__ import annotations


class CacheError(Exception):
    """The cache could not do what it was asked."""


class SharedTierAway(CacheError):
    """Redis does not answer, or it failed so often that it is not asked for a while."""


class SharedTierBehind(CacheError):
    """The shared tier lost its position or stands before the entries given: applying them would leave a gap."""
