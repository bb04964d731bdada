"""Everything that can go wrong with a replay.

MovementsUnreadable     the movements file is missing, damaged, or has a row that means nothing
"""

from __future__ import annotations

from devstack.errors import DevstackError


class MovementsUnreadable(DevstackError):
    """The movements file cannot be read, or not to its end."""
